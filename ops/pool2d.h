// Maximum and average over windows of an image; the border counts for nothing: a maximum never
// takes it, a mean divides by the taps inside (docs/method.md sections 2.1 and 5.1).
//   max: y = x at the window's first largest tap     dx = sum of the dy of the windows that took it
//   average: y = sum of taps inside / their number   dx = sum of dy / number over its windows
#pragma once
#include "autograd/tape.h"
#include "ops/window2d.h"

namespace enas {

// x [N, H, W, C] -> [N, window.output(H), window.output(W), C], f32 or f64. A NaN in a window is
// its maximum (the last one, where there are several). Between forward and backward stands one byte
// an output, the tap's place ky * kernel + kx: kernels of at most 16.
Var max_pool2d(const Var& x, const Window2d& window);
Var avg_pool2d(const Var& x, const Window2d& window);

namespace cpu {
// index [N, Ho, Wo, C] u8, undefined where nobody wants it.
void max_pool2d_forward(const Tensor& x, const Window2d& window, Tensor& y, Tensor& index);
void max_pool2d_backward(const Tensor& index, const Tensor& dy, const Window2d& window, Tensor& dx,
                         Into into);
void avg_pool2d_forward(const Tensor& x, const Window2d& window, Tensor& y);
void avg_pool2d_backward(const Tensor& dy, const Window2d& window, Tensor& dx, Into into);
}  // namespace cpu
namespace cuda {
void max_pool2d_forward(const Tensor& x, const Window2d& window, Tensor& y, Tensor& index);
void max_pool2d_backward(const Tensor& index, const Tensor& dy, const Window2d& window, Tensor& dx,
                         Into into);
void avg_pool2d_forward(const Tensor& x, const Window2d& window, Tensor& y);
void avg_pool2d_backward(const Tensor& dy, const Window2d& window, Tensor& dx, Into into);
}  // namespace cuda

}  // namespace enas
