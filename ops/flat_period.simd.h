// Rows of C floats read as one run: a vector at offset v of the period lcm(C, kWidth) meets the
// same channels each time round, so no lane is idle and no C needs padding. n need not be a
// multiple of anything; a run starts at channel 0.
#pragma once
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

inline int64_t period_of(int64_t channels) {
  const int64_t low = channels & -channels;  // the power of two in C
  return low >= kWidth ? channels : channels / low * kWidth;
}

// The channels' values as the lanes of the vector at offset i meet them.
inline Floats channel_lanes(const float* of_channel, int64_t i, int64_t channels) {
  float lanes[kWidth] __attribute__((aligned(64)));
  int64_t c = i % channels;
  for (int l = 0; l < kWidth; ++l) {
    lanes[l] = of_channel[c];
    c = c + 1 == channels ? 0 : c + 1;
  }
  return load(lanes);
}
inline void add_to_channels(float* of_channel, Floats v, int64_t i, int64_t channels) {
  float lanes[kWidth] __attribute__((aligned(64)));
  store(lanes, v);
  int64_t c = i % channels;
  for (int l = 0; l < kWidth; ++l) {
    of_channel[c] += lanes[l];
    c = c + 1 == channels ? 0 : c + 1;
  }
}

template <int N>
struct Group {
  static constexpr int size = N;
};
// Calls f(Group<N>{}, v) until the vectors of a period, in groups of N neighbours, are done:
// neighbours give a sum as many independent chains.
template <class F>
inline void for_each_group(int64_t channels, F&& f) {
  const int64_t period = period_of(channels);
  int64_t v = 0;
  for (; v + 4 * kWidth <= period; v += 4 * kWidth) f(Group<4>{}, v);
  switch ((period - v) / kWidth) {
    case 3:
      return f(Group<3>{}, v);
    case 2:
      return f(Group<2>{}, v);
    case 1:
      return f(Group<1>{}, v);
    default:
      return;
  }
}
// Calls f(g, i) for each whole vector i = v + g kWidth + k period in [0, n), g < N.
template <int N, class F>
inline void for_each_round(int64_t n, int64_t v, int64_t period, F&& f) {
  int64_t i = v;
  for (; i + N * kWidth <= n; i += period) {
    ENAS_UNROLL for (int g = 0; g < N; ++g) f(g, i + g * kWidth);
  }
  ENAS_UNROLL for (int g = 0; g < N; ++g) {
    if (i + (g + 1) * kWidth <= n) f(g, i + g * kWidth);
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
