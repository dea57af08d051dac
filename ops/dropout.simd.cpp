// Row loops of ops/dropout.h for f32.
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

// y (+)= x * mask over n elements.
void dropout_multiply(const float* x, const float* mask, float* y, int64_t n, bool add) {
  for (int64_t i = 0; i < n; ++i) y[i] = add ? y[i] + x[i] * mask[i] : x[i] * mask[i];
}
// y (+)= x * the row's value.
void dropout_multiply_rows(const float* x, const float* mask, float* y, int64_t rows,
                           int64_t columns, bool add) {
  for (int64_t r = 0; r < rows; ++r, x += columns, y += columns) {
    const float factor = mask[r];
    for (int64_t c = 0; c < columns; ++c) y[c] = add ? y[c] + x[c] * factor : x[c] * factor;
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
