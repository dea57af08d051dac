// Relu on load of ops/pointwise_conv.h: a strip of a source with relu applied, and the mask of its
// gradient.
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

// to = max(x, 0); NaN stays.
void relu_copy(const float* x, float* to, int64_t n) {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    const Floats v = load(x + i);
    store(to + i, select(v < 0.0f, splat(0.0f), v));
  }
  for (; i < n; ++i) to[i] = x[i] < 0.0f ? 0.0f : x[i];
}

// dx (+)= g where x > 0, else 0
void relu_mask(const float* x, const float* g, float* dx, int64_t n, bool add) {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    const Floats v = select(load(x + i) > 0.0f, load(g + i), splat(0.0f));
    store(dx + i, add ? load(dx + i) + v : v);
  }
  for (; i < n; ++i) {
    const float v = x[i] > 0.0f ? g[i] : 0.0f;
    dx[i] = add ? dx[i] + v : v;
  }
}

// dw (+)= the `parts` partial sums of n floats each, in order
void sum_parts(const float* partial, int64_t parts, int64_t stride, float* dw, int64_t n,
               bool add) {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    Floats total = add ? load(dw + i) : splat(0.0f);
    for (int64_t p = 0; p < parts; ++p) total += load(partial + p * stride + i);
    store(dw + i, total);
  }
  for (; i < n; ++i) {
    float total = add ? dw[i] : 0.0f;
    for (int64_t p = 0; p < parts; ++p) total += partial[p * stride + i];
    dw[i] = total;
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
