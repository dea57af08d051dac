// arch show|random|count|cost: describes architectures without running anything.
#pragma once
#include "apps/run/console.h"
#include "apps/run/options.h"

namespace enas {

int arch_command(const Invocation& call);

}  // namespace enas
