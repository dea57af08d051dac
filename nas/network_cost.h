// Parameters and multiply-adds of a convolutional network, counted from its architecture without
// building it. Normalisations, pools and sums do not count as work.
#pragma once
#include <cmath>
#include <cstdint>

namespace enas {

struct NetworkCost {
  int64_t params = 0;
  int64_t macs = 0;  // of one image's forward pass, taps on the border included
  // macs without taps on the border, for square maps at stride 1: along an axis of s pixels a
  // kernel of k has k s - (k / 2) (k / 2 + 1) taps.
  int64_t inner_macs = 0;

  void norm(int64_t channels) { params += 2 * channels; }
  // A convolution without its normalisation; pixels of its output.
  void conv(int64_t kernel, int64_t in, int64_t out, int64_t pixels) {
    params += kernel * kernel * in * out;
    macs += kernel * kernel * in * out * pixels;
    const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(pixels))));
    const int64_t taps = kernel * side - kernel / 2 * (kernel / 2 + 1);
    inner_macs += taps * taps * in * out;
  }
  void conv_norm(int64_t kernel, int64_t in, int64_t out, int64_t pixels) {
    conv(kernel, in, out, pixels);
    norm(out);
  }
  // Depthwise, pointwise, one normalisation.
  void separable_norm(int64_t kernel, int64_t channels, int64_t pixels) {
    conv(kernel, 1, channels, pixels);
    conv_norm(1, channels, channels, pixels);
  }
  // Its two halves together; pixels of its output.
  void reduction_norm(int64_t in, int64_t out, int64_t pixels) { conv_norm(1, in, out, pixels); }
};

// The side of a square map behind a reduction.
inline int64_t half_of(int64_t side) { return (side + 1) / 2; }

}  // namespace enas
