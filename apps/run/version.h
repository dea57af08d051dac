// The program's version, as CMakeLists.txt has it (a test compares the two), and what --version
// says.
#pragma once
#include <string>
#include <string_view>

namespace enas {

inline constexpr const char* kVersion = "0.1.0";

// Program and version, then a line each: commit, compiler, CUDA, instruction set, BLAS.
std::string version_text(std::string_view program);

}  // namespace enas
