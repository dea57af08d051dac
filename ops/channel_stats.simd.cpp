// Moments of ops/channel_moments.h for f32.
#include "ops/flat_period.simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

// Two visits: sums, then squared deviations.
void moments_of_rows(const float* x, int64_t rows, int64_t channels, float* moments) {
  const int64_t n = rows * channels, period = period_of(channels), body = n / kWidth * kWidth;
  float *mean = moments, *square = moments + channels;
  for (int64_t c = 0; c < 2 * channels; ++c) moments[c] = 0;
  for_each_group(channels, [&](auto group, int64_t v) {
    constexpr int N = decltype(group)::size;
    Floats total[N];
    ENAS_UNROLL for (int g = 0; g < N; ++g) total[g] = splat(0.0f);
    for_each_round<N>(n, v, period, [&](int g, int64_t i) { total[g] += load(x + i); });
    ENAS_UNROLL for (int g = 0; g < N; ++g) {
      add_to_channels(mean, total[g], v + g * kWidth, channels);
    }
  });
  for (int64_t i = body; i < n; ++i) mean[i % channels] += x[i];
  for (int64_t c = 0; c < channels; ++c) mean[c] /= static_cast<float>(rows);
  for_each_group(channels, [&](auto group, int64_t v) {
    constexpr int N = decltype(group)::size;
    Floats total[N], centre[N];
    ENAS_UNROLL for (int g = 0; g < N; ++g) {
      total[g] = splat(0.0f);
      centre[g] = channel_lanes(mean, v + g * kWidth, channels);
    }
    for_each_round<N>(n, v, period, [&](int g, int64_t i) {
      const Floats d = load(x + i) - centre[g];
      total[g] += d * d;
      __builtin_prefetch(x + i + n);  // the same place of the next rows
    });
    ENAS_UNROLL for (int g = 0; g < N; ++g) {
      add_to_channels(square, total[g], v + g * kWidth, channels);
    }
  });
  for (int64_t i = body; i < n; ++i) {
    const float d = x[i] - mean[i % channels];
    square[i % channels] += d * d;
  }
}

// sums [2][period] += d, d^2 with d = x - shift, over a run of n floats that starts at channel 0;
// shift is expanded to `period` (ops/lanes.h).
void shifted_sums(const float* x, int64_t n, int64_t period, const float* shift, float* sums) {
  const auto group_of = [&](auto group, int64_t v) {
    constexpr int N = decltype(group)::size;
    Floats total[N], square[N], centre[N];
    ENAS_UNROLL for (int g = 0; g < N; ++g) {
      total[g] = load(sums + v + g * kWidth);
      square[g] = load(sums + period + v + g * kWidth);
      centre[g] = load(shift + v + g * kWidth);
    }
    for_each_round<N>(n, v, period, [&](int g, int64_t i) {
      const Floats d = load(x + i) - centre[g];
      total[g] += d;
      square[g] += d * d;
    });
    ENAS_UNROLL for (int g = 0; g < N; ++g) {
      store(sums + v + g * kWidth, total[g]);
      store(sums + period + v + g * kWidth, square[g]);
    }
  };
  int64_t v = 0;
  for (; v + 4 * kWidth <= period; v += 4 * kWidth) group_of(Group<4>{}, v);
  for (; v < period; v += kWidth) group_of(Group<1>{}, v);
  for (int64_t i = n / kWidth * kWidth; i < n; ++i) {
    const float d = x[i] - shift[i % period];
    sums[i % period] += d;
    sums[period + i % period] += d * d;
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
