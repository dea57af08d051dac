// What the kernels of the recurrent cells share: their grid, a thread a column of a row.
#pragma once
#include <algorithm>
#include <type_traits>

#include "cuda/elementwise.cuh"

namespace enas::cuda {

// Threads along x, thread_index(), are the columns; blocks along y stride over the rows.
inline Launch row_launch(int64_t rows, int64_t columns) {
  const int64_t threads = std::min<int64_t>((columns + kWarp - 1) / kWarp * kWarp, 256);
  return {dim3(static_cast<unsigned>((columns + threads - 1) / threads), blocks_for(rows, 1, 2048)),
          dim3(static_cast<unsigned>(threads))};
}

// Batches of at most so many rows have kernels of their own, which hold a sum a row in registers:
// a product of so few rows is one read of the weight, and a launch costs as much.
constexpr int64_t kFewRows = 16;
template <class F>
void visit_few_rows(int64_t rows, F&& f) {
  if (rows == 1) return f(std::integral_constant<unsigned, 1>{});
  if (rows <= 4) return f(std::integral_constant<unsigned, 4>{});
  f(std::integral_constant<unsigned, kFewRows>{});
}

}  // namespace enas::cuda
