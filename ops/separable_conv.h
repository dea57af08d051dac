// The separable half-block: what is between two convolutions, and both, in one visit per image.
//   a = f(x)          f: a normalisation left to this reader (Deferred), relu, both or nothing
//   t[i,j,c] = sum_{ky,kx} a[i s - b + ky, j s - b + kx, c] d[ky,kx,c]      y = t P
// and the statistics of y's channels. With dt = dy P^T:
//   dP = sum t^T dy      dd[ky,kx] = sum a dt      da = dt spread back through d
// dz = da (z > 0), and what a normalisation makes of dz: ops/batch_norm.h. Backward keeps x alone;
// a and t are formed again, image by image in L2. s: stride, b: border before (ops/window2d.h).
// Source: docs/method.md sections 2.1 and 3.2.
#pragma once
#include "ops/batch_norm.h"
#include "ops/window2d.h"

namespace enas {

// x [N, H, W, C], depthwise [K, K, C], pointwise [C, Cout] -> y [N, H', W', Cout]. f32 or f64.
RawConv separable_conv(const Var& x, bool relu_on_load, const Var& depthwise, const Var& pointwise,
                       const Window2d& window, bool stats);
// The same of a normalised x; x.n.relu says whether relu follows.
RawConv separable_conv(const Deferred& x, const Var& depthwise, const Var& pointwise,
                       const Window2d& window, bool stats);

// What its kernels take beside x. norm.relu is the relu on load, with and without normalisation.
struct SeparableValues {
  NormValues norm;
  Tensor depthwise, pointwise;
  Window2d window;
};
struct SeparableGrads {
  GradOut dx, ddepthwise, dpointwise, dscale, doffset;
};

namespace cpu {
// stats: its tensors are undefined where not wanted.
void separable_conv_forward(const Tensor& x, const SeparableValues& v, Tensor& y,
                            ChannelStats& stats);
void separable_conv_backward(const Tensor& x, const SeparableValues& v, const Tensor& dy,
                             const SeparableGrads& grads);
}  // namespace cpu
namespace cuda {
void separable_conv_forward(const Tensor& x, const SeparableValues& v, Tensor& y,
                            ChannelStats& stats);
void separable_conv_backward(const Tensor& x, const SeparableValues& v, const Tensor& dy,
                             const SeparableGrads& grads);
}  // namespace cuda

}  // namespace enas
