// Elementwise ops. Each is one functor of ops/pointwise_functors.h: f, and its derivative from what
// f saves (x or y). A new one is a functor there, a line of the table, a declaration here and a
// test row.
//   y = f(x)         dx = dy * f'(x)
//   y = f(a, b)      da = dy * df/da, db = dy * df/db
#pragma once
#include <cstdint>

#include "autograd/tape.h"

namespace enas {

// Any shape, f32 or f64; the result has the shape of x. NaN stays NaN.
Var neg(const Var& x);
Var exp(const Var& x);
Var log(const Var& x);  // -inf at 0, NaN below; the derivative 1/x is inf at 0
Var tanh(const Var& x);
Var sigmoid(const Var& x);
Var relu(const Var& x);  // max(x, 0); the derivative at 0 is 0
Var square(const Var& x);
Var sqrt(const Var& x);  // NaN below 0; the derivative 1 / 2y is inf at 0
Var scale(const Var& x, double factor);
Var add_scalar(const Var& x, double term);

// a and b of one shape and dtype; either may be a constant.
Var add(const Var& a, const Var& b);
Var sub(const Var& a, const Var& b);
Var mul(const Var& a, const Var& b);
Var div(const Var& a, const Var& b);

// x [..., n] + row [n] or [1, n], added to every row; d row is the sum of dy over the rows, in
// their order.
Var add_row(const Var& x, const Var& row);

// The tables of ops/pointwise_functors.h.
enum class Unary : uint8_t;
enum class Binary : uint8_t;

namespace cpu {
void unary_forward(Unary op, double parameter, const Tensor& x, Tensor& y);
// `saved` is x, y or (where the derivative needs neither) dy.
void unary_backward(Unary op, double parameter, const Tensor& saved, const Tensor& dy, Tensor& dx,
                    Into into);
void binary_forward(Binary op, const Tensor& a, const Tensor& b, Tensor& y);
void binary_backward_a(Binary op, const Tensor& b, const Tensor& dy, Tensor& da, Into into);
void binary_backward_b(Binary op, const Tensor& a, const Tensor& b, const Tensor& dy, Tensor& db,
                       Into into);
void add_row_forward(const Tensor& x, const Tensor& row, Tensor& y);
void column_sums(const Tensor& dy, Tensor& drow, Into into);
}  // namespace cpu
namespace cuda {
void unary_forward(Unary op, double parameter, const Tensor& x, Tensor& y);
void unary_backward(Unary op, double parameter, const Tensor& saved, const Tensor& dy, Tensor& dx,
                    Into into);
void binary_forward(Binary op, const Tensor& a, const Tensor& b, Tensor& y);
void binary_backward_a(Binary op, const Tensor& b, const Tensor& dy, Tensor& da, Into into);
void binary_backward_b(Binary op, const Tensor& a, const Tensor& b, const Tensor& dy, Tensor& db,
                       Into into);
void add_row_forward(const Tensor& x, const Tensor& row, Tensor& y);
void column_sums(const Tensor& dy, Tensor& drow, Into into);
}  // namespace cuda

}  // namespace enas
