// arch show|random|count|cost: describes architectures without running anything.
#pragma once
#include "apps/run/app.h"

namespace enas {

int cifar_arch_command(const App& app, const Invocation& call);

}  // namespace enas
