// Product with a matrix that is used once, by fewer rows than would pay for packing it ahead: each
// block of a panel of B is copied into the order of the kernel by the first tile of rows that it
// is multiplied with. f32, on the CPU.
#pragma once
#include <cstdint>

namespace enas {

// Whether such a product, sizes as below, is one that single_gemm computes, and faster than BLAS
// and than packing ahead (docs/results/gemm.md). By shape and instruction set.
bool single_gemm_suits(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k);

// C[m x n] = op(A) op(B), or += where `add`; row-major, lda, ldb, ldc numbers between rows as
// stored, not both transposed. C may be uninitialised unless `add`, and must not overlap A and B.
// Cut by shape, spread over the pool: same bits for any number of threads.
void single_gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                 const float* a, int64_t lda, const float* b, int64_t ldb, bool add, float* c,
                 int64_t ldc);

}  // namespace enas
