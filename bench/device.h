// --device of the benchmark programs, refused before anything is built where it cannot run.
#pragma once
#include <string>

#include "tensor/check.h"
#include "tensor/gpu.h"

namespace enas::bench {

inline Device device_named(const std::string& name, const char* program) {
  check(name == "cpu" || name == "cuda", ErrorKind::usage, program,
        "--device expects cpu or cuda, got ", name);
  if (name == "cpu") return Device::cpu;
  if constexpr (kWithCuda) {
    std::string why = cuda::unavailable();
    if (why.empty()) why = cuda::blas_unavailable();
    check(why.empty(), ErrorKind::device, program, "--device cuda: ", why);
  } else {
    fail(ErrorKind::device, program,
         "--device cuda: this build has no CUDA kernels; configure with -DENAS_CUDA=ON, or use "
         "--device cpu");
  }
  return Device::cuda;
}

}  // namespace enas::bench
