// Convolution over NHWC images with square windows.
//   y[n,i,j,:] = sum_{ky,kx} x[n, i s - b + ky, j s - b + kx, :] w[ky,kx,:,:]     outside x: zero
//   dx = dy spread back through w          dw[ky,kx] = sum over pixels of x^T dy
// s: stride, b: border before (ops/window2d.h). Source: docs/method.md sections 2.1 and 3.2.
#pragma once
#include "autograd/tape.h"
#include "ops/channel_stats.h"
#include "ops/window2d.h"

namespace enas {

// x [N, H, W, Cin], w [K, K, Cin, Cout], K the window's -> y [N, H', W', Cout], and with `stats`
// the statistics of y's channels. f32 or f64.
RawConv conv2d(const Var& x, const Var& w, const Window2d& window, bool stats);

namespace cpu {
// stats: not null where wanted; its tensors [Cout] exist and are filled.
void conv2d_forward(const Tensor& x, const Tensor& w, const Window2d& window, Tensor& y,
                    ChannelStats* stats);
void conv2d_backward_data(const Tensor& dy, const Tensor& w, const Window2d& window, Tensor& dx,
                          Into into);
void conv2d_backward_weight(const Tensor& x, const Tensor& dy, const Window2d& window, Tensor& dw,
                            Into into);
}  // namespace cpu
namespace cuda {
void conv2d_forward(const Tensor& x, const Tensor& w, const Window2d& window, Tensor& y,
                    ChannelStats* stats);
void conv2d_backward_data(const Tensor& dy, const Tensor& w, const Window2d& window, Tensor& dx,
                          Into into);
void conv2d_backward_weight(const Tensor& x, const Tensor& dy, const Window2d& window, Tensor& dw,
                            Into into);
}  // namespace cuda

}  // namespace enas
