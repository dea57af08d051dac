// Row kernels of softmax, f32: raw pointers and sizes only.
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

// y[r][c] = exp(x - max of row) / sum; a row is read twice while it is in cache.
void softmax_rows(const float* x, float* y, int64_t rows, int64_t columns) {
  const int64_t body = columns / kWidth * kWidth;
  for (int64_t r = 0; r < rows; ++r, x += columns, y += columns) {
    Floats most = splat(-__builtin_inff());
    for (int64_t c = 0; c < body; c += kWidth) most = max(load(x + c), most);
    float top = max_lane(most);
    for (int64_t c = body; c < columns; ++c) top = x[c] > top ? x[c] : top;
    // A row of -inf alone, or with NaN, becomes NaN through the subtraction and the division.
    Floats total = splat(0.0f);
    for (int64_t c = 0; c < body; c += kWidth) {
      const Floats e = exp(load(x + c) - top);
      store(y + c, e);
      total += e;
    }
    float denominator = sum(total);
    if (body < columns) {
      const Floats e = exp(load_tail(x + body, columns - body, -__builtin_inff()) - top);
      store_tail(y + body, e, columns - body);
      for (int64_t c = body; c < columns; ++c) denominator += y[c];
    }
    const float scale = 1.0f / denominator;
    for (int64_t c = 0; c < body; c += kWidth) store(y + c, load(y + c) * scale);
    for (int64_t c = body; c < columns; ++c) y[c] *= scale;
  }
}

// dx (+)= y * (dy - sum(dy * y)).
void softmax_rows_backward(const float* y, const float* dy, float* dx, int64_t rows,
                           int64_t columns, bool add) {
  const int64_t body = columns / kWidth * kWidth;
  for (int64_t r = 0; r < rows; ++r, y += columns, dy += columns, dx += columns) {
    Floats partial = splat(0.0f);
    for (int64_t c = 0; c < body; c += kWidth) partial += load(y + c) * load(dy + c);
    float dot = sum(partial);
    for (int64_t c = body; c < columns; ++c) dot += y[c] * dy[c];
    for (int64_t c = 0; c < body; c += kWidth) {
      const Floats g = load(y + c) * (load(dy + c) - dot);
      store(dx + c, add ? load(dx + c) + g : g);
    }
    for (int64_t c = body; c < columns; ++c) {
      const float g = y[c] * (dy[c] - dot);
      dx[c] = add ? dx[c] + g : g;
    }
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
