// Matrix product on the device, by cuBLAS. The library is opened when it is first asked for
// (dlopen), so that a CUDA build starts, runs and tests on a machine without it.
// Implemented in cuda/blas.cpp and, for kernels run on the CPU, in cuda/host/blas.cpp.
#pragma once
#include <cstdint>

#include "tensor/gpu.h"

namespace enas::cuda {

// C[M x N] = op(A) op(B) + beta C, all row-major and on the device; op transposes where its flag
// says so. beta is 0 (C may be uninitialised; k == 0 writes zeros) or 1. lda, ldb, ldc: elements
// between rows as stored. T: float or double. `op` is the name that an error carries.
template <class T>
void gemm(const char* op, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
          const T* a, int64_t lda, const T* b, int64_t ldb, T beta, T* c, int64_t ldc);

// Both operands and the result, each once, as counted in Counters.
template <class T>
constexpr uint64_t gemm_bytes(int64_t m, int64_t n, int64_t k) {
  return sizeof(T) * static_cast<uint64_t>(m * k + k * n + m * n);
}

}  // namespace enas::cuda
