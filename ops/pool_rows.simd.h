// Walks over one image's rows, for pools and reductions: runs of values by vectors, which inputs
// and outputs of a window meet.
#pragma once
#include "ops/pool_shape.h"
#include "tensor/simd.h"

#define ENAS_INLINE inline __attribute__((always_inline))

namespace enas::ENAS_ISA_NAMESPACE {

// The vectors of [begin, end): f(i, skip), the last one moved back over `skip` lanes that the one
// before it has done. At least a vector long.
template <class F>
ENAS_INLINE void each_vector(int64_t begin, int64_t end, F f) {
  int64_t i = begin;
  for (; i + kWidth <= end; i += kWidth) f(i, 0);
  if (i < end) f(end - kWidth, static_cast<int>(i - (end - kWidth)));
}
// The same over [0, n) of any length: f(i, lanes, skip), lanes < kWidth where n is.
template <class F>
ENAS_INLINE void each_run(int64_t n, F f) {
  if (n < kWidth) return f(int64_t{0}, n, 0);
  each_vector(
      0,
      n, [&](int64_t i, int skip) __attribute__((always_inline)) { f(i, int64_t{kWidth}, skip); });
}
// to (+)= v, but for the first `skip` lanes, which have their sum already.
ENAS_INLINE void put(float* to, Floats v, bool add, int skip) {
  if (add) {
    Ints lane{};
    for (int i = 0; i < kWidth; ++i) lane[i] = i;
    v = load(to) + select(lane >= skip, v, Floats{});
  }
  store(to, v);
}
ENAS_INLINE void put(float* to, Floats v, int64_t lanes, bool add, int skip) {
  if (lanes == kWidth) return put(to, v, add, skip);
  for (int64_t l = 0; l < lanes; ++l) to[l] = add ? to[l] + v[l] : v[l];
}

struct Range {
  int64_t begin, end;
};
// What output o reads of [0, size).
inline Range taps_of(int64_t o, int64_t stride, int64_t before, int64_t kernel, int64_t size) {
  const int64_t first = o * stride - before, end = first + kernel;
  return {first < 0 ? 0 : first, end < size ? end : size};
}
// The outputs, of `count`, that read input i.
inline Range readers_of(int64_t i, int64_t stride, int64_t before, int64_t kernel, int64_t count) {
  const int64_t last = i + before, end = last / stride + 1;
  return {last < kernel ? 0 : (last - kernel) / stride + 1, end < count ? end : count};
}
// The same of inputs one after the other, without divisions: of input i after those of i - 1.
ENAS_INLINE void move_readers(Range& readers, int64_t i, int64_t stride, int64_t before,
                              int64_t kernel, int64_t count) {
  if (readers.begin * stride - before + kernel <= i) ++readers.begin;
  if (readers.end < count && readers.end * stride - before <= i) ++readers.end;
}

}  // namespace enas::ENAS_ISA_NAMESPACE
