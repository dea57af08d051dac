// Loops of ops/mean_of.h for f32.
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

// y[i] = factor * (x_0[at + i] + x_1[at + i] + ...), in order.
void mean_of_range(const float* const* x, int64_t count, float factor, float* y, int64_t at,
                   int64_t n) {
  const int64_t body = n / kWidth * kWidth;
  for (int64_t i = at; i < at + body; i += kWidth) {
    Floats total = load(x[0] + i);
    for (int64_t k = 1; k < count; ++k) total += load(x[k] + i);
    store(y + i, total * factor);
  }
  for (int64_t i = at + body; i < at + n; ++i) {
    float total = x[0][i];
    for (int64_t k = 1; k < count; ++k) total += x[k][i];
    y[i] = total * factor;
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
