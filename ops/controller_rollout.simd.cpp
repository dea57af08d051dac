// Row times matrix in double for the rollout: raw pointers and sizes only.
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

// y = x W, W [n, columns]. Each sum runs in the order of x; four rows a pass over y.
void rollout_product(const double* __restrict x, int64_t n, const double* __restrict w,
                     int64_t columns, double* __restrict y) {
  for (int64_t j = 0; j < columns; ++j) y[j] = 0;
  int64_t i = 0;
  for (; i + 4 <= n; i += 4, w += 4 * columns) {
    const double a = x[i], b = x[i + 1], c = x[i + 2], d = x[i + 3];
    for (int64_t j = 0; j < columns; ++j) {
      double sum = y[j];
      sum += a * w[j];
      sum += b * w[columns + j];
      sum += c * w[2 * columns + j];
      sum += d * w[3 * columns + j];
      y[j] = sum;
    }
  }
  for (; i < n; ++i, w += columns) {
    for (int64_t j = 0; j < columns; ++j) y[j] += x[i] * w[j];
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
