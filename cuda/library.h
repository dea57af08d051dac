// A shared library opened at run time, so that no program needs it to start.
#pragma once
#include <string>
#include <vector>

namespace enas::cuda {

// The first of `files` that opens, never to be closed; null where none does, and then `why` says
// what was looked for and what the system answered.
void* open_library(const std::vector<std::string>& files, std::string& why);
// Null where the library has no such function.
void* find_function(void* library, const char* name);

// Where cuBLAS of a major version is looked for: ENAS_CUBLAS alone where that is set; else the
// loader's own path, then the folders of the CUDA toolkit.
std::vector<std::string> blas_files(int major);

}  // namespace enas::cuda
