// Global average pooling: the mean over an image's pixels, by channel (docs/method.md section 2.1).
//   y_nc = mean over h, w of f(x_nhwc), f(x) = x or max(x, 0)          dx = f'(x) dy_nc / (H W)
#pragma once
#include "autograd/tape.h"

namespace enas {

// x [N, H, W, C] -> [N, C], f32 or f64. relu_on_load: f is relu, whose mask backward takes from x
// again (slope 0 at 0). NaN stays NaN.
Var global_avg_pool(const Var& x, bool relu_on_load = false);

namespace cpu {
void global_avg_pool_forward(const Tensor& x, bool relu, Tensor& y);
// x is read only under relu, and may be undefined without.
void global_avg_pool_backward(const Tensor& dy, const Tensor& x, bool relu, Tensor& dx, Into into);
}  // namespace cpu
namespace cuda {
void global_avg_pool_forward(const Tensor& x, bool relu, Tensor& y);
void global_avg_pool_backward(const Tensor& dy, const Tensor& x, bool relu, Tensor& dx, Into into);
}  // namespace cuda

}  // namespace enas
