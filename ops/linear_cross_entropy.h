// A decoder and its loss as one op: logits z = x w^T, then softmax and cross entropy.
//   y = mean over rows of m + log s - z[target],   m = max z,  s = sum exp(z - m) of a row
// Where nothing flows back, as in the evaluation of a reward, the logits (2240 x 10000 of a window)
// are never written: m and s grow with each tile of the product while it is in the first cache.
// With a gradient, or on a device, or in f64, it is matmul and softmax_cross_entropy.
#pragma once
#include "autograd/tape.h"

namespace enas {

// x [n, H], w [V, H], targets i32 [n] in [0, V) -> a scalar (rank 0), in nats; NaN where n is 0.
Var linear_cross_entropy(const Var& x, const Var& w, const Tensor& targets);

}  // namespace enas
