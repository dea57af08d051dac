// Row loop of ops/softmax_cross_entropy.h for f32.
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

constexpr int64_t kAhead = 512;  // floats

// dx (+)= exp(x - top) * (factor / total) with the row's {top, 1 / total}, and -factor at the
// target. x may be dx.
void cross_entropy_rows_backward(const float* x, const int32_t* targets, const float* kept,
                                 float factor, float* dx, int64_t rows, int64_t columns, bool add) {
  const int64_t body = columns / kWidth * kWidth, rest = columns - body;
  for (int64_t r = 0; r < rows; ++r, x += columns, dx += columns, kept += 2) {
    const float top = kept[0], scale = kept[1] * factor;
    for (int64_t c = 0; c < body; c += kWidth) {
      prefetch_for_write(dx + c + kAhead);
      const Floats g = exp(load(x + c) - top) * scale;
      store(dx + c, add ? load(dx + c) + g : g);
    }
    if (rest > 0) {
      const Floats g = exp(load_tail(x + body, rest, 0.0f) - top) * scale;
      store_tail(dx + body, add ? load_tail(dx + body, rest, 0.0f) + g : g, rest);
    }
    dx[targets[r]] -= factor;
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
