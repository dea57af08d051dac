// Factorised reduction: half the rows and columns from two grids of pixels, each through its own
// 1x1 convolution, side by side along the channels (docs/method.md section 2.1).
//   y[n, i, j] = ( f(x[n, 2i, 2j]) W1 | f(x[n, 2i+1, 2j+1]) W2 ),  f(x) = x or max(x, 0), 0 outside
//   dx[n, 2i, 2j] = f' dy1 W1^T, dx[n, 2i+1, 2j+1] = f' dy2 W2^T, else 0;  dW1 = sum f(x)^T dy1
#pragma once
#include "ops/channel_stats.h"

namespace enas {

// x [N, H, W, C], w1 [C, C1], w2 [C, C2] -> y [N, ceil(H/2), ceil(W/2), C1 + C2], f32 or f64.
// relu_on_load: f is relu (slope 0 at 0, NaN stays NaN). stats: mean and variance of y by channel.
RawConv factorized_reduction(const Var& x, const Var& w1, const Var& w2, bool relu_on_load,
                             bool stats);

namespace cpu {
// stats.mean and stats.variance are filled where they are defined.
void factorized_reduction_forward(const Tensor& x, const Tensor& w1, const Tensor& w2, bool relu,
                                  Tensor& y, ChannelStats& stats);
void factorized_reduction_backward_input(const Tensor& x, const Tensor& w1, const Tensor& w2,
                                         bool relu, const Tensor& dy, Tensor& dx, Into into);
// The gradient of w1 (path 0) or w2 (path 1).
void factorized_reduction_backward_weight(const Tensor& x, bool relu, const Tensor& dy, int path,
                                          Tensor& dw, Into into);
}  // namespace cpu
namespace cuda {
void factorized_reduction_forward(const Tensor& x, const Tensor& w1, const Tensor& w2, bool relu,
                                  Tensor& y, ChannelStats& stats);
void factorized_reduction_backward_input(const Tensor& x, const Tensor& w1, const Tensor& w2,
                                         bool relu, const Tensor& dy, Tensor& dx, Into into);
void factorized_reduction_backward_weight(const Tensor& x, bool relu, const Tensor& dy, int path,
                                          Tensor& dw, Into into);
}  // namespace cuda

}  // namespace enas
