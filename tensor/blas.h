// Matrix product. OpenBLAS is pinned to one thread and called on tiles whose borders depend on the
// shape alone; the tiles are spread over our pool, so results have the same bits for any number of
// threads (OpenBLAS's own threads change them).
#pragma once
#include <cstdint>
#include <string>

namespace enas {

// C[M x N] = op(A) op(B) + beta C, all row-major; op transposes where its flag says so. beta is 0
// (C may be uninitialised) or 1. lda, ldb, ldc: elements between rows as stored.
template <class T>
void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const T* a,
          int64_t lda, const T* b, int64_t ldb, T beta, T* c, int64_t ldc);

std::string blas_name();  // library, version and kernel family, for run.json

}  // namespace enas
