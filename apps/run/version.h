// The program's version, as CMakeLists.txt has it (a test compares the two).
#pragma once

namespace enas {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace enas
