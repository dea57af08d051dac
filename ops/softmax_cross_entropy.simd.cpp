// Row loops of ops/softmax_cross_entropy.h for f32.
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "ops/row_sums.simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

namespace {

// Stores past the caches, where the vector fills a line: nothing is then read to be overwritten.
inline bool fills_lines([[maybe_unused]] const float* p) {
#if defined(__AVX512F__)
  return reinterpret_cast<uint64_t>(p) % 64 == 0;
#else
  return false;
#endif
}
inline void store_past(float* p, Floats v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(p, v);
#else
  store(p, v);
#endif
}

// dx (+)= exp(x - top) * scale of a row.
inline void gradient_row(const float* x, float top, float scale, float* dx, int64_t columns,
                         bool add, bool past) {
  constexpr int64_t kAhead = 512, kAheadRead = 1024;  // floats
  const int64_t body = columns / kWidth * kWidth, rest = columns - body;
  if (past && !add && fills_lines(dx)) {
    for (int64_t c = 0; c < body; c += kWidth) {
      __builtin_prefetch(x + c + kAheadRead, 0, 2);
      store_past(dx + c, exp_below(load(x + c) - top) * scale);
    }
  } else {
    for (int64_t c = 0; c < body; c += kWidth) {
      prefetch_for_write(dx + c + kAhead);
      const Floats g = exp_below(load(x + c) - top) * scale;
      store(dx + c, add ? load(dx + c) + g : g);
    }
  }
  if (rest == 0) return;
  const Floats g = exp_below(load_tail(x + body, rest, 0.0f) - top) * scale;
  store_tail(dx + body, add ? load_tail(dx + body, rest, 0.0f) + g : g, rest);
}

}  // namespace

// dx (+)= exp(x - top) * (factor / total) with the row's {top, 1 / total}, and -factor at the
// target. past: dx is too large for the caches.
void cross_entropy_rows_backward(const float* x, const int32_t* targets, const float* kept,
                                 float factor, float* dx, int64_t rows, int64_t columns, bool add,
                                 bool past) {
  for (int64_t r = 0; r < rows; ++r, x += columns, dx += columns, kept += 2) {
    gradient_row(x, kept[0], kept[1] * factor, dx, columns, add, past);
    dx[targets[r]] -= factor;
  }
#if defined(__AVX512F__)
  _mm_sfence();  // no other thread reads earlier
#endif
}

// The same gradient in the place of a row, and the row's {top, total}: exponentials are made once.
void cross_entropy_row_in_place(float* x, int32_t target, float factor, int64_t columns,
                                float* statistics) {
  const int64_t body = columns / kWidth * kWidth, rest = columns - body;
  float* const next = x + columns;
  const float top = row_top(x, columns);
  const float total = row_total(
      x, columns, top,
      [=](int64_t c, Floats e) {
        prefetch_for_write(next + c);
        store(x + c, e);
      },
      [=](int64_t c, Floats e) { store_tail(x + c, e, rest); });
  const float scale = factor / total;
  for (int64_t c = 0; c < body; c += kWidth) store(x + c, load(x + c) * scale);
  if (rest > 0) store_tail(x + body, load_tail(x + body, rest, 0.0f) * scale, rest);
  x[target] -= factor;
  statistics[0] = top;
  statistics[1] = total;
}

}  // namespace enas::ENAS_ISA_NAMESPACE
