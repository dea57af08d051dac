// Softmax over the last axis.
//   y = exp(x - max x) / sum exp(x - max x)          dx = y * (dy - sum(dy * y))
#pragma once
#include "autograd/tape.h"

namespace enas {

// x [..., n] -> y [..., n], rows summing to 1. A row holding NaN gives NaN; -inf gives 0.
Var softmax(const Var& x);

namespace cpu {
void softmax_forward(const Tensor& x, Tensor& y);
void softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Into into);
}  // namespace cpu
namespace cuda {
void softmax_forward(const Tensor& x, Tensor& y);
void softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Into into);
}  // namespace cuda

}  // namespace enas
