// Oracles of the convolutions, in double and without tricks: window loops, and im2col with a matrix
// product.
#pragma once
#include <vector>

#include "ops/window2d.h"
#include "tests/op_cases.h"

namespace enas::test {

// Calls f(output pixel, tap, input pixel), the last -1 outside the image.
template <class F>
void each_tap(const Shape& x, const Window2d& window, F&& f) {
  const int64_t oh = window.output(x[1]), ow = window.output(x[2]), k = window.kernel;
  for (int64_t at = 0; at < x[0] * oh * ow * k * k; ++at) {
    const int64_t pixel = at / (k * k), tap = at % (k * k);
    const int64_t i = pixel / ow % oh * window.stride - window.before(x[1]) + tap / k;
    const int64_t j = pixel % ow * window.stride - window.before(x[2]) + tap % k;
    const bool inside = i >= 0 && i < x[1] && j >= 0 && j < x[2];
    f(pixel, tap, inside ? (pixel / (oh * ow) * x[1] + i) * x[2] + j : -1);
  }
}

// x [N, H, W, Cin], w [K, K, Cin, Cout] -> y [N, H', W', Cout]
inline Values conv_reference(const Values& x, const Shape& shape, const Values& w, int64_t co,
                             const Window2d& window) {
  const int64_t ci = shape[3];
  Values y(static_cast<size_t>(shape[0] * window.output(shape[1]) * window.output(shape[2]) * co));
  each_tap(shape, window, [&](int64_t pixel, int64_t tap, int64_t from) {
    for (int64_t a = 0; a < ci && from >= 0; ++a) {
      for (int64_t b = 0; b < co; ++b)
        y[static_cast<size_t>(pixel * co + b)] +=
            x[static_cast<size_t>(from * ci + a)] * w[static_cast<size_t>((tap * ci + a) * co + b)];
    }
  });
  return y;
}

// The same by way of the matrix [pixels x K K Cin].
inline Values im2col_reference(const Values& x, const Shape& shape, const Values& w, int64_t co,
                               const Window2d& window) {
  const int64_t ci = shape[3], depth = window.kernel * window.kernel * ci;
  const int64_t pixels = shape[0] * window.output(shape[1]) * window.output(shape[2]);
  Values columns(static_cast<size_t>(pixels * depth)), y(static_cast<size_t>(pixels * co));
  each_tap(shape, window, [&](int64_t pixel, int64_t tap, int64_t from) {
    for (int64_t a = 0; a < ci && from >= 0; ++a)
      columns[static_cast<size_t>(pixel * depth + tap * ci + a)] =
          x[static_cast<size_t>(from * ci + a)];
  });
  for (int64_t r = 0; r < pixels; ++r) {
    for (int64_t b = 0; b < co; ++b) {
      for (int64_t d = 0; d < depth; ++d)
        y[static_cast<size_t>(r * co + b)] +=
            columns[static_cast<size_t>(r * depth + d)] * w[static_cast<size_t>(d * co + b)];
    }
  }
  return y;
}

// y and the mean and biased variance of its channels.
inline std::vector<Values> with_moments(const Values& y, int64_t channels) {
  const auto c = static_cast<size_t>(channels);
  const double rows = static_cast<double>(y.size() / c);
  Values mean(c), variance(c);
  for (size_t i = 0; i < y.size(); ++i) mean[i % c] += y[i] / rows;
  for (size_t i = 0; i < y.size(); ++i)
    variance[i % c] += (y[i] - mean[i % c]) * (y[i] - mean[i % c]) / rows;
  return {y, mean, variance};
}

}  // namespace enas::test
