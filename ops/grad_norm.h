// Global gradient norm, clip factor and finite flag of one step, left on the device as a "gate":
//   norm   = sqrt(sum over all items and elements of (grad + decay * value)^2)
//   factor = clip == 0 ? 1 : min(1, clip / (norm + 1e-6))            (0 where norm is not finite)
//   finite = norm and loss are finite (and the previous gate was open) ? 1 : 0
// optimizer_update reads factor and finite there, so that a step needs no synchronisation with the
// host, which looks at the gate one step later. Clipping: Pascanu, Mikolov, Bengio 2013.
#pragma once
#include <span>

#include "tensor/tensor.h"

namespace enas {

// One parameter of an update. value, grad and slots have one shape and one dtype, f32 or f64.
struct UpdateItem {
  Tensor value = {};
  Tensor grad = {};               // undefined counts as zero (dense updates)
  Tensor slot0 = {}, slot1 = {};  // SGD: momentum; Adam: first and second moment
  double decay = 0;               // the gradient used everywhere is grad + decay * value
  Tensor step = {};               // Adam: f64 [1], the number of updates this value has had
};

// Where the gate (f64 [4]) holds what.
enum GateIndex : int64_t { kGateNorm = 0, kGateFactor = 1, kGateFinite = 2, kGateLoss = 3 };
constexpr int64_t kGateSize = 4;

// loss: one element, f32 or f64. clip >= 0; 0: off. previous: the gate of the step before, where a
// step that was not finite shall keep all later ones closed (policy stop); undefined otherwise.
// Same bits for any number of threads. No items: the norm is 0.
Tensor grad_norm(std::span<const UpdateItem> items, double clip, const Tensor& loss,
                 const Tensor& previous = Tensor());

namespace cpu {
void grad_norm(std::span<const UpdateItem> items, double clip, const Tensor& loss,
               const Tensor& previous, Tensor& gate);
}
namespace cuda {
void grad_norm(std::span<const UpdateItem> items, double clip, const Tensor& loss,
               const Tensor& previous, Tensor& gate);
}

}  // namespace enas
