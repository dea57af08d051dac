// Kernels of ops/global_avg_pool.h for f32: one image [pixels, channels].
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

// y = mean over pixels of f(x); the sums stay in cache, by channel.
void global_avg_pool_image(const float* x, bool relu, float* y, int64_t pixels, int64_t channels) {
  for (int64_t c = 0; c < channels; ++c) y[c] = 0;
  for (int64_t p = 0; p < pixels; ++p, x += channels) {
    if (relu) {
      for (int64_t c = 0; c < channels; ++c) y[c] += x[c] <= 0 ? 0 : x[c];
    } else {
      for (int64_t c = 0; c < channels; ++c) y[c] += x[c];
    }
  }
  const float share = 1.0f / static_cast<float>(pixels);
  for (int64_t c = 0; c < channels; ++c) y[c] *= share;
}

// dx (+)= dy / pixels; with x only where it is not below or at 0.
void global_avg_pool_image_backward(const float* x, const float* dy, float* dx, int64_t pixels,
                                    int64_t channels, bool add) {
  const float share = 1.0f / static_cast<float>(pixels);
  for (int64_t p = 0; p < pixels; ++p, dx += channels) {
    if (x) {
      for (int64_t c = 0; c < channels; ++c) {
        const float g = x[c] <= 0 ? 0 : dy[c] * share;
        dx[c] = add ? dx[c] + g : g;
      }
      x += channels;
    } else if (add) {
      for (int64_t c = 0; c < channels; ++c) dx[c] += dy[c] * share;
    } else {
      for (int64_t c = 0; c < channels; ++c) dx[c] = dy[c] * share;
    }
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
