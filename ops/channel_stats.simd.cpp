// Moments of ops/channel_moments.h for f32.
#include "ops/flat_period.simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

// Two visits: sums, then squared deviations.
void channel_moments(const float* x, int64_t rows, int64_t channels, float* moments) {
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

}  // namespace enas::ENAS_ISA_NAMESPACE
