// Softmax and cross entropy as one op. With m = max x and s = sum exp(x - m) of a row:
//   y = mean over rows of m + log s - x[target]
//   dx = (exp(x - m) / s - onehot(target)) * dy / n
// Forward keeps m and 1/s of each row (apart, for their sum would lose the digits of large logits),
// never the probabilities.
#pragma once
#include "autograd/tape.h"

namespace enas {

// logits [n, V], targets i32 [n] in [0, V) -> a scalar (rank 0), in nats; NaN where n is 0.
// Backward writes into the logits' own buffer where nobody else holds it: drop the logits' Var
// before backward and the gradient costs no memory.
Var softmax_cross_entropy(const Var& logits, const Tensor& targets);

// The sum over rows of -log softmax(logits)[target], in double and without a tape: evaluation.
double total_nll(const Tensor& logits, const Tensor& targets);

namespace cpu {
// Returns the sum; kept [n, 2] receives m and 1/s.
double cross_entropy_forward(const Tensor& logits, const Tensor& targets, Tensor& kept);
// dx (+)= (softmax - onehot) * factor * dy, with the scalar dy; dx may be logits.
void cross_entropy_backward(const Tensor& logits, const Tensor& targets, const Tensor& kept,
                            const Tensor& dy, double factor, Tensor& dx, Into into);
}  // namespace cpu
namespace cuda {
double cross_entropy_forward(const Tensor& logits, const Tensor& targets, Tensor& kept);
void cross_entropy_backward(const Tensor& logits, const Tensor& targets, const Tensor& kept,
                            const Tensor& dy, double factor, Tensor& dx, Into into);
}  // namespace cuda

}  // namespace enas
