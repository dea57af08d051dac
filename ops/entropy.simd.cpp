// Row loops of ops/entropy.h for f32.
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

// weighted[r] = sum of e (x - top), e = exp(x - top); where e is 0 the term is 0, also at x = -inf.
void entropy_rows(const float* x, const float* statistics, float* weighted, int64_t rows,
                  int64_t columns) {
  const int64_t body = columns / kWidth * kWidth, rest = columns - body;
  for (int64_t r = 0; r < rows; ++r, x += columns, statistics += 2) {
    const float top = statistics[0];
    const auto term = [top](Floats v) {
      const Floats d = v - top, e = exp(d);
      return select(e > 0.0f, e * d, splat(0.0f));
    };
    Floats partial = splat(0.0f);
    for (int64_t c = 0; c < body; c += kWidth) partial += term(load(x + c));
    if (rest > 0) partial += term(load_tail(x + body, rest, -__builtin_inff()));
    weighted[r] = sum(partial);
  }
}

// dx (+)= -dy p (x - top - w), with the row's {top, 1 / total, w}.
void entropy_rows_backward(const float* x, const float* kept, const float* dy, float* dx,
                           int64_t rows, int64_t columns, bool add) {
  const int64_t body = columns / kWidth * kWidth, rest = columns - body;
  for (int64_t r = 0; r < rows; ++r, x += columns, dx += columns, kept += 3) {
    const float top = kept[0], factor = -dy[r] * kept[1], w = kept[2];
    const auto gradient = [=](Floats v) {
      const Floats d = v - top, e = exp(d);
      return select(e == 0.0f, splat(0.0f), e * (d - w) * factor);
    };
    for (int64_t c = 0; c < body; c += kWidth) {
      const Floats g = gradient(load(x + c));
      store(dx + c, add ? load(dx + c) + g : g);
    }
    if (rest == 0) continue;
    const Floats g = gradient(load_tail(x + body, rest, 0.0f));
    store_tail(dx + body, add ? load_tail(dx + body, rest, 0.0f) + g : g, rest);
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
