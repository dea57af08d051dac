// Categorical sampling by inversion: the first j with u < P(0) + ... + P(j), P = softmax(logits).
//   log_prob = logit_a - logsumexp(logits)        entropy = -sum_j P(j) log P(j)
// No gradient: a policy gradient recomputes log_prob on a tape (nas/controller).
#pragma once
#include <cstdint>
#include <span>

#include "ops/choose.h"
#include "tensor/philox.h"
#include "tensor/tensor.h"

namespace enas {

// On the device of the logits.
struct CategoricalResult {
  Tensor actions;   // [rows] i32
  Tensor log_prob;  // [rows] f64, of the action
  Tensor entropy;   // [rows] f64, of the row's distribution, in nats
};

// logits [rows, n], f32 or f64; all arithmetic is in double. Row r draws
// random.uniform53(first_index + r). A logit of -inf is never chosen; a row with NaN or +inf, or of
// -inf alone, is an Error{diverged}.
CategoricalResult sample_categorical(const Tensor& logits, const Random& random,
                                     uint64_t first_index = 0);

namespace cpu {
using enas::Choice;
// One decision, shared with controller_rollout. uniform in [0, 1).
Choice choose(std::span<const double> logits, double uniform);
void sample_categorical(const Tensor& logits, const Random& random, uint64_t first_index,
                        CategoricalResult& out);
}  // namespace cpu
namespace cuda {
void sample_categorical(const Tensor& logits, const Random& random, uint64_t first_index,
                        CategoricalResult& out);
}  // namespace cuda

}  // namespace enas
