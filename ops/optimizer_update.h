// Parameter updates, one pass over each parameter. With d = factor * (grad + decay * value), where
// factor comes from the gate (ops/grad_norm.h):
//   SGD    b = momentum * b + d;  value -= lr * (nesterov ? d + momentum * b : b)
//   Adam   t += 1;  m = beta1 * m + (1 - beta1) * d;  v = beta2 * v + (1 - beta2) * d^2
//          value -= lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + epsilon)
// The conventions are those of torch.optim (Kingma, Ba 2015; Sutskever et al. 2013). A gate that is
// closed (finite != 1) leaves every bit of value, slots and step as it was.
#pragma once
#include <span>

#include "ops/grad_norm.h"
#include "tensor/tensor.h"

namespace enas {

struct SgdRule {
  double lr;
  double momentum = 0;  // 0: slot0 is not needed
  bool nesterov = false;
};

struct AdamRule {
  double lr;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
};

// Both raise the version of each value, whether the gate is open or not (the host does not know).
void optimizer_update(const SgdRule& rule, std::span<UpdateItem> items, const Tensor& gate);
// Needs slot0, slot1 and step of each item; each item counts its own updates, so that a value that
// a step does not use keeps a bias correction that fits its moments.
void optimizer_update(const AdamRule& rule, std::span<UpdateItem> items, const Tensor& gate);

// Running mean over steps: n = count; average += (value - average) / (n + 1), count = n + 1.
struct AverageItem {
  Tensor value, average;
};
// count: f64 [1]. A closed gate changes neither averages nor count.
void average_update(std::span<AverageItem> items, Tensor& count, const Tensor& gate);

namespace cpu {
void sgd_update(const SgdRule& rule, std::span<UpdateItem> items, const Tensor& gate);
void adam_update(const AdamRule& rule, std::span<UpdateItem> items, const Tensor& gate);
void average_update(std::span<AverageItem> items, Tensor& count, const Tensor& gate);
}  // namespace cpu
namespace cuda {
void sgd_update(const SgdRule& rule, std::span<UpdateItem> items, const Tensor& gate);
void adam_update(const AdamRule& rule, std::span<UpdateItem> items, const Tensor& gate);
void average_update(std::span<AverageItem> items, Tensor& count, const Tensor& gate);
}  // namespace cuda

}  // namespace enas
