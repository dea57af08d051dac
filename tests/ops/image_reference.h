// Plain loops over images [N, H, W, C] in double, for the references of op cases.
#pragma once
#include <cmath>

#include "ops/batch_norm.h"
#include "ops/window2d.h"
#include "tests/op_cases.h"

namespace enas::test {

struct RefStats {
  Values mean, variance;
};
inline RefStats ref_stats(const Values& x, size_t channels) {
  RefStats s{Values(channels, 0), Values(channels, 0)};
  const auto rows = static_cast<double>(x.size() / channels);
  for (size_t i = 0; i < x.size(); ++i) s.mean[i % channels] += x[i] / rows;
  for (size_t i = 0; i < x.size(); ++i) {
    s.variance[i % channels] += std::pow(x[i] - s.mean[i % channels], 2) / rows;
  }
  return s;
}
// scale and offset [C]; z before any relu.
inline Values ref_norm(const Values& x, const RefStats& s, const Values& scale,
                       const Values& offset, double epsilon) {
  Values z(x.size());
  const size_t channels = scale.size();
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t c = i % channels;
    z[i] = (x[i] - s.mean[c]) / std::sqrt(s.variance[c] + epsilon) * scale[c] + offset[c];
  }
  return z;
}
inline Values ref_relu(Values z) {
  for (double& v : z) v = v > 0 ? v : 0;
  return z;
}
inline double smallest(const Values& z) {
  double least = 1e30;
  for (const double v : z) least = std::min(least, std::fabs(v));
  return least;
}

struct RefImage {
  int64_t n, height, width, channels;
};
// w [K, K, C].
inline Values ref_depthwise(const Values& x, const RefImage& s, const Values& w,
                            const Window2d& window) {
  const int64_t oh = window.output(s.height), ow = window.output(s.width), k = window.kernel;
  Values y(static_cast<size_t>(s.n * oh * ow * s.channels), 0);
  size_t at = 0;
  for (int64_t n = 0; n < s.n; ++n)
    for (int64_t i = 0; i < oh; ++i)
      for (int64_t j = 0; j < ow; ++j)
        for (int64_t c = 0; c < s.channels; ++c, ++at)
          for (int64_t t = 0; t < k * k; ++t) {
            const int64_t r = i * window.stride - window.before(s.height) + t / k;
            const int64_t q = j * window.stride - window.before(s.width) + t % k;
            if (r < 0 || r >= s.height || q < 0 || q >= s.width) continue;
            const int64_t from = ((n * s.height + r) * s.width + q) * s.channels + c;
            y[at] += x[static_cast<size_t>(from)] * w[static_cast<size_t>(t * s.channels + c)];
          }
  return y;
}
// rows of C times w [C, Cout].
inline Values ref_pointwise(const Values& x, size_t channels, const Values& w) {
  const size_t rows = x.size() / channels, out = w.size() / channels;
  Values y(rows * out, 0);
  for (size_t r = 0; r < rows; ++r)
    for (size_t c = 0; c < channels; ++c)
      for (size_t o = 0; o < out; ++o) y[r * out + o] += x[r * channels + c] * w[c * out + o];
  return y;
}

// An op's outputs through which its statistics matter too, forward and backward: y, and y
// normalised by what the op says of it.
inline std::vector<Var> with_stats(const RawConv& y) {
  const Tensor& mean = y.stats.mean;
  const Tensor one = Tensor::full(mean.shape(), 1, mean.dtype(), mean.device());
  const Tensor zero = zeros_like(mean);
  return {y.y, batch_norm(y.y, y.stats, {one, zero, 1e-2}, StatsUse::batch)};
}
inline std::vector<Values> ref_with_stats(const Values& y, size_t channels) {
  return {y, ref_norm(y, ref_stats(y, channels), Values(channels, 1), Values(channels, 0), 1e-2)};
}

// Statistics of a Var as an epilogue would leave them.
inline Deferred deferred(const Var& raw, const Var& scale, const Var& offset, double epsilon,
                         bool relu) {
  return {raw, channel_stats(raw.value()), {scale, offset, epsilon, relu}, StatsUse::batch};
}

}  // namespace enas::test
