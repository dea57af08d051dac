// The commands of enas_cifar (docs/interface.md). A command returns the program's exit code or
// throws Error.
#pragma once

namespace enas {

int enas_cifar(int argc, const char* const* argv);

}  // namespace enas
