// Depthwise convolution over NHWC images: each channel has a window of its own.
//   y[n,i,j,c] = sum_{ky,kx} f(x[n, i s - b + ky, j s - b + kx, c]) w[ky,kx,c],  f: relu or none
//   dx = f'(x) (dy spread back through w)          dw[ky,kx] = sum over pixels of f(x) dy
// s: stride, b: border before (ops/window2d.h). Source: docs/method.md sections 2.1 and 3.2.
#pragma once
#include "ops/batch_norm.h"
#include "ops/window2d.h"

namespace enas {

// x [N, H, W, C], w [K, K, C] -> y [N, H', W', C]. f32 or f64.
Var depthwise_conv2d(const Var& x, const Var& w, const Window2d& window, bool relu_on_load);

namespace cpu {
void depthwise_conv2d_forward(const Tensor& x, const Tensor& w, const Window2d& window, bool relu,
                              Tensor& y);
void depthwise_conv2d_backward(const Tensor& x, const Tensor& w, const Window2d& window, bool relu,
                               const Tensor& dy, const GradOut& dx, const GradOut& dw);
}  // namespace cpu
namespace cuda {
void depthwise_conv2d_forward(const Tensor& x, const Tensor& w, const Window2d& window, bool relu,
                              Tensor& y);
void depthwise_conv2d_backward(const Tensor& x, const Tensor& w, const Window2d& window, bool relu,
                               const Tensor& dy, const GradOut& dx, const GradOut& dw);
}  // namespace cuda

}  // namespace enas
