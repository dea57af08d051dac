// Softmax and cross entropy as one op. With m = max x and s = sum exp(x - m) of a row:
//   y = mean over rows of m + log s - x[target]
//   dx = (exp(x - m) / s - onehot(target)) * dy / n
// Forward makes the gradient for dy = 1 in the logits' own buffer, while a row is at hand: loss and
// gradient in one visit. Where the logits are still needed it keeps m and 1/s of each row (apart,
// for their sum would lose the digits of large logits), never the probabilities.
#pragma once
#include "autograd/tape.h"

namespace enas {

// logits [n, V], targets i32 [n] in [0, V) -> a scalar (rank 0), in nats; NaN where n is 0.
// Hand the logits over (a temporary, or std::move) and their buffer becomes their gradient: no
// memory of its own. Logits that another handle shares are left as they are.
Var softmax_cross_entropy(Var logits, const Tensor& targets);

namespace cpu {
// y = factor * the sum over rows; kept [n, 2] receives m and 1/s.
void cross_entropy_forward(const Tensor& logits, const Tensor& targets, double factor, Tensor& kept,
                           Tensor& y);
// dx (+)= (softmax - onehot) * factor * dy, with the scalar dy.
void cross_entropy_backward(const Tensor& logits, const Tensor& targets, const Tensor& kept,
                            const Tensor& dy, double factor, Tensor& dx, Into into);
// Forward, and logits becomes (softmax - onehot) * factor; then the backward of that, dx *= dy.
void cross_entropy_in_place(Tensor& logits, const Tensor& targets, double factor, Tensor& y);
void cross_entropy_scale(Tensor& dx, const Tensor& dy);
}  // namespace cpu
namespace cuda {
void cross_entropy_forward(const Tensor& logits, const Tensor& targets, double factor, Tensor& kept,
                           Tensor& y);
void cross_entropy_backward(const Tensor& logits, const Tensor& targets, const Tensor& kept,
                            const Tensor& dy, double factor, Tensor& dx, Into into);
void cross_entropy_in_place(Tensor& logits, const Tensor& targets, double factor, Tensor& y);
void cross_entropy_scale(Tensor& dx, const Tensor& dy);
}  // namespace cuda

}  // namespace enas
