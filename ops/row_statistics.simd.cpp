// Maximum and sum of exponentials of each row, in two visits: the second finds the row in cache.
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

// statistics[r] = {top, total}. NaN reaches the total through the subtraction.
void row_statistics(const float* x, float* statistics, int64_t rows, int64_t columns) {
  constexpr int64_t kStep = 4 * kWidth;
  const int64_t body = columns / kWidth * kWidth, steps = columns / kStep * kStep;
  for (int64_t r = 0; r < rows; ++r, x += columns, statistics += 2) {
    Floats most[4];
    for (Floats& m : most) m = splat(-__builtin_inff());
    for (int64_t c = 0; c < steps; c += kStep) {
      for (int k = 0; k < 4; ++k) most[k] = max(load(x + c + k * kWidth), most[k]);
    }
    for (int64_t c = steps; c < body; c += kWidth) most[0] = max(load(x + c), most[0]);
    float top = max_lane(max(max(most[0], most[1]), max(most[2], most[3])));
    for (int64_t c = body; c < columns; ++c) top = x[c] > top ? x[c] : top;

    Floats totals[4];
    for (Floats& t : totals) t = splat(0.0f);
    for (int64_t c = 0; c < steps; c += kStep) {
      for (int k = 0; k < 4; ++k) totals[k] += exp(load(x + c + k * kWidth) - top);
    }
    for (int64_t c = steps; c < body; c += kWidth) totals[0] += exp(load(x + c) - top);
    float total = sum((totals[0] + totals[1]) + (totals[2] + totals[3]));
    if (body < columns) {
      const int64_t rest = columns - body;
      const Floats e = exp(load_tail(x + body, rest, -__builtin_inff()) - top);
      for (int64_t i = 0; i < rest; ++i) total += e[i];
    }
    statistics[0] = top;
    statistics[1] = total;
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
