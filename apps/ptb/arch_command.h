// arch show|random|count|cost: describes architectures without running anything.
#pragma once
#include "apps/run/app.h"
#include "apps/run/console.h"

namespace enas {

int arch_command(const App& app, const Invocation& call);

}  // namespace enas
