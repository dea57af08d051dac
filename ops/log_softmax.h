// Logarithm of the softmax over the last axis.
//   y = x - max x - log sum exp(x - max x)          dx = dy - exp(y) * sum dy
#pragma once
#include "autograd/tape.h"

namespace enas {

// x [..., n] -> y [..., n]. A row holding NaN or +inf gives NaN; -inf gives -inf.
Var log_softmax(const Var& x);

namespace cpu {
void log_softmax_forward(const Tensor& x, Tensor& y);
void log_softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Into into);
}  // namespace cpu
namespace cuda {
void log_softmax_forward(const Tensor& x, Tensor& y);
void log_softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Into into);
}  // namespace cuda

}  // namespace enas
