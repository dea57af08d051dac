// Moves of ops/factorized_reduction.h for f32: a path's pixels of one image row, next to each other
// for the product, and back.
#include "ops/pool_rows.simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

// to [pixels, channels] = f(every second pixel of x).
void reduction_gather(const float* x, bool relu, float* to, int64_t pixels, int64_t channels) {
  for (int64_t p = 0; p < pixels; ++p, x += 2 * channels, to += channels) {
    each_run(channels, [&](int64_t c, int64_t lanes, int) {
      const Floats v = load_some(x + c, lanes);
      put(to + c, relu ? select(v <= 0.0f, Floats{}, v) : v, lanes, false, 0);
    });
  }
}

// One row of dx: pixels path, path + 2, ... (+)= from, masked by x where there is one; the others
// are 0 unless gradients are added.
void reduction_scatter(const float* from, const float* x, float* dx, int64_t width, int64_t path,
                       int64_t channels, bool add) {
  for (int64_t p = 0; p < width; ++p, dx += channels) {
    const bool taken = p % 2 == path;
    if (!taken && add) continue;
    each_run(channels, [&](int64_t c, int64_t lanes, int skip) {
      Floats g{};
      if (taken) g = load_some(from + c, lanes);
      if (taken && x) g = select(load_some(x + p * channels + c, lanes) <= 0.0f, Floats{}, g);
      put(dx + c, g, lanes, add, skip);
    });
    if (taken) from += channels;
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
