// The commands of enas_ptb (docs/interface.md). A command returns the program's exit code or throws
// Error.
#pragma once

namespace enas {

int enas_ptb(int argc, const char* const* argv);

}  // namespace enas
