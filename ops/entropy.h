// Entropy (nats) of the softmax of each row, from the logits. With m = max x, e = exp(x - m),
// p = e / sum e and w = sum p (x - m):
//   H = log sum e - w          dx = -dy * p * (x - m - w)
#pragma once
#include "autograd/tape.h"

namespace enas {

// logits [..., n] -> one value a row, [rows]. An element of -inf has p = 0 and adds nothing; a row
// holding NaN or +inf gives NaN; rows of no elements give 0.
Var entropy(const Var& logits);

namespace cpu {
// kept [rows, 3] holds m, 1 / sum e and w of each row for backward.
void entropy_forward(const Tensor& logits, Tensor& y, Tensor& kept);
void entropy_backward(const Tensor& logits, const Tensor& kept, const Tensor& dy, Tensor& dx,
                      Into into);
}  // namespace cpu
namespace cuda {
void entropy_forward(const Tensor& logits, Tensor& y, Tensor& kept);
void entropy_backward(const Tensor& logits, const Tensor& kept, const Tensor& dy, Tensor& dx,
                      Into into);
}  // namespace cuda

}  // namespace enas
