// Matrix product with transposes as flags.
//   y = op(a) op(b)      da = dy op(b)^T      db = op(a)^T dy      (transposed where op transposes)
// The gradient of b is left by Grad::contribute: at a Parameter all uses of a window become one
// product over their stacked rows.
#pragma once
#include "autograd/tape.h"

namespace enas {

enum class Transpose : bool { no, yes };

// y [M, N] = op(a) [M, K] op(b) [K, N]. As stored a is [M, K], or [K, M] with ta; b is [K, N], or
// [N, K] with tb. Refuses other ranks, inner sizes that differ, and dtypes other than one of f32
// and f64.
Var matmul(const Var& a, const Var& b, Transpose ta = Transpose::no, Transpose tb = Transpose::no);

namespace cpu {
// c = op(a) op(b), added where `into` says so; c has the product's shape.
void matmul(const Tensor& a, const Tensor& b, Tensor& c, Transpose ta, Transpose tb, Into into);
}  // namespace cpu
namespace cuda {
void matmul(const Tensor& a, const Tensor& b, Tensor& c, Transpose ta, Transpose tb, Into into);
}  // namespace cuda

}  // namespace enas
