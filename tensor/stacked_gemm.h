// Product of two stacks of rows, C = sum over blocks of a^T b: a weight's gradient, whose factors
// are the rows of many time steps. f32, on the CPU.
#pragma once
#include <cstdint>
#include <span>

namespace enas {

struct RowBlock {
  const float *a, *b;  // [rows, m] and [rows, n], row-major without gaps
  int64_t rows;
};

// C[m x n] = sum a^T b, or += where `add`; row-major without gaps. C may be uninitialised unless
// `add`. Cut into parts of C by shape, each of which adds the blocks in their order: same bits for
// any number of threads.
void stacked_gemm(std::span<const RowBlock> blocks, int64_t m, int64_t n, bool add, float* c);

}  // namespace enas
