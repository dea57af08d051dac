// What the softmax family needs of each row: m = max x and s = sum exp(x - m).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "tensor/check.h"
#include "tensor/isa.h"
#include "tensor/tensor.h"

namespace enas {

// top and total of each row, two values a row.
ISA_SELECT(row_statistics, void(const float* x, float* statistics, int64_t rows, int64_t columns));

// The plain loop: f64, for gradient checks.
inline void row_statistics_plain(const double* x, double* statistics, int64_t rows,
                                 int64_t columns) {
  for (int64_t r = 0; r < rows; ++r, x += columns, statistics += 2) {
    double top = -INFINITY, total = 0;
    for (int64_t c = 0; c < columns; ++c) top = std::max(top, x[c]);
    for (int64_t c = 0; c < columns; ++c) total += std::exp(x[c] - top);
    statistics[0] = top;
    statistics[1] = total;
  }
}

template <class T>
void row_statistics_of(const T* x, T* statistics, int64_t rows, int64_t columns) {
  if constexpr (sizeof(T) == 4) {
    row_statistics(x, statistics, rows, columns);
  } else {
    row_statistics_plain(x, statistics, rows, columns);
  }
}

constexpr int64_t kRowGrain = 8192;  // elements a chunk of the row-wise ops

inline void check_targets(const char* op, const Tensor& targets, int64_t vocabulary) {
  const int32_t* target = targets.data<int32_t>();
  for (int64_t r = 0; r < targets.size(0); ++r) {
    check(target[r] >= 0 && target[r] < vocabulary, op, "target ", target[r], " of row ", r,
          " is outside the vocabulary of ", vocabulary);
  }
}

}  // namespace enas
