// Sums of all elements to a scalar, in a number of partitions that the shape fixes, accumulated in
// double across blocks.
//   sum x                  dx = dy
//   mean x                 dx = dy / n
//   mean x^2               dx = 2 x dy / n          (activation regulariser)
//   mean (a - b)^2         da = 2 (a - b) dy / n, db = -da      (slowness regulariser)
#pragma once
#include "autograd/tape.h"

namespace enas {

// x of any shape, f32 or f64 -> a scalar (rank 0). Of no elements the sum is 0 and a mean NaN.
Var sum(const Var& x);
Var mean(const Var& x);
Var mean_square(const Var& x);
// a and b of one shape and dtype; either may be a constant.
Var mean_square_difference(const Var& a, const Var& b);

namespace cpu {
// y = factor * the sum over all elements.
void sum_forward(const Tensor& x, double factor, Tensor& y);
void sum_squares_forward(const Tensor& x, double factor, Tensor& y);
void sum_squared_difference_forward(const Tensor& a, const Tensor& b, double factor, Tensor& y);
// dx (+)= factor * dy; ... * x; ... * (a - b), with the scalar dy.
void sum_backward(const Tensor& dy, double factor, Tensor& dx, Into into);
void sum_squares_backward(const Tensor& x, const Tensor& dy, double factor, Tensor& dx, Into into);
void sum_squared_difference_backward(const Tensor& a, const Tensor& b, const Tensor& dy,
                                     double factor, Tensor& da, Into into);
}  // namespace cpu
namespace cuda {
void sum_forward(const Tensor& x, double factor, Tensor& y);
void sum_squares_forward(const Tensor& x, double factor, Tensor& y);
void sum_squared_difference_forward(const Tensor& a, const Tensor& b, double factor, Tensor& y);
void sum_backward(const Tensor& dy, double factor, Tensor& dx, Into into);
void sum_squares_backward(const Tensor& x, const Tensor& dy, double factor, Tensor& dx, Into into);
void sum_squared_difference_backward(const Tensor& a, const Tensor& b, const Tensor& dy,
                                     double factor, Tensor& da, Into into);
}  // namespace cuda

}  // namespace enas
