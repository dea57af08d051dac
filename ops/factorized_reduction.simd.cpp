// Moves of ops/factorized_reduction.h for f32: a path's pixels of one image row, next to each other
// for the product, and back.
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

// to [pixels, channels] = f(every second pixel of x).
void reduction_gather(const float* x, bool relu, float* to, int64_t pixels, int64_t channels) {
  for (int64_t p = 0; p < pixels; ++p, x += 2 * channels, to += channels) {
    if (relu) {
      for (int64_t c = 0; c < channels; ++c) to[c] = x[c] <= 0 ? 0 : x[c];
    } else {
      for (int64_t c = 0; c < channels; ++c) to[c] = x[c];
    }
  }
}

// One row of dx: pixels path, path + 2, ... (+)= from, masked by x where there is one; the others
// are 0 unless gradients are added.
void reduction_scatter(const float* from, const float* x, float* dx, int64_t width, int64_t path,
                       int64_t channels, bool add) {
  for (int64_t p = 0; p < width; ++p, dx += channels) {
    if (p % 2 != path) {
      for (int64_t c = 0; !add && c < channels; ++c) dx[c] = 0;
      continue;
    }
    for (int64_t c = 0; c < channels; ++c) {
      const float g = x && x[p * channels + c] <= 0 ? 0 : from[c];
      dx[c] = add ? dx[c] + g : g;
    }
    from += channels;
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
