// Row loops of ops/log_softmax.h for f32.
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

// y = (x - top) - log_total, with the row's {top, log_total}.
void log_softmax_rows(const float* x, const float* statistics, float* y, int64_t rows,
                      int64_t columns) {
  const int64_t body = columns / kWidth * kWidth;
  for (int64_t r = 0; r < rows; ++r, x += columns, y += columns, statistics += 2) {
    const float top = statistics[0], log_total = statistics[1];
    for (int64_t c = 0; c < body; c += kWidth) store(y + c, (load(x + c) - top) - log_total);
    for (int64_t c = body; c < columns; ++c) y[c] = (x[c] - top) - log_total;
  }
}

// dx (+)= dy - exp(y) * sum dy.
void log_softmax_rows_backward(const float* y, const float* dy, float* dx, int64_t rows,
                               int64_t columns, bool add) {
  const int64_t body = columns / kWidth * kWidth, rest = columns - body;
  for (int64_t r = 0; r < rows; ++r, y += columns, dy += columns, dx += columns) {
    Floats partial = splat(0.0f);
    for (int64_t c = 0; c < body; c += kWidth) partial += load(dy + c);
    float total = sum(partial);
    for (int64_t c = body; c < columns; ++c) total += dy[c];
    for (int64_t c = 0; c < body; c += kWidth) {
      const Floats g = load(dy + c) - exp(load(y + c)) * total;
      store(dx + c, add ? load(dx + c) + g : g);
    }
    if (rest == 0) continue;
    const Floats g =
        load_tail(dy + body, rest, 0.0f) - exp(load_tail(y + body, rest, 0.0f)) * total;
    store_tail(dx + body, add ? load_tail(dx + body, rest, 0.0f) + g : g, rest);
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
