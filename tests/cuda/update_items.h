// Ragged lists of parameters for the kernels that take many in one launch: the same values on the
// CPU and on the device.
#pragma once
#include <vector>

#include "ops/grad_norm.h"
#include "tests/cuda/compare.h"
#include "tests/op_cases.h"
#include "tests/ops/window.h"

namespace enas::test {

struct ItemSpec {
  int64_t size;
  int64_t offset = 0;  // of the device's arrays from an aligned address, in elements
  bool grad = true;
  double decay = 0;
};

// More parameters than a block has threads: empty ones, ones shorter than a vector, ones about the
// size of a piece (8192) and of several; some at odd addresses, some without gradient, some with
// decay.
inline std::vector<ItemSpec> ragged_specs() {
  constexpr int64_t kSizes[] = {0, 1, 2, 3, 4, 5, 31, 257, 9, 100, 64, 7, 12};
  std::vector<ItemSpec> specs;
  for (int64_t i = 0; i < 300; ++i) {
    ItemSpec spec{kSizes[i % 13], i % 4 == 3 ? i % 3 + 1 : 0, i % 5 != 2, i % 3 == 1 ? 0.125 : 0};
    if (i == 20) spec.size = 8191;
    if (i == 40) spec.size = 8192;
    if (i == 60) spec.size = 8193;
    if (i == 81) spec.size = 24581;
    specs.push_back(spec);
  }
  return specs;
}

struct Items {
  std::vector<UpdateItem> here, there;
};
// Values, gradients, slots; Adam's step counts item number modulo 7. The second slots are positive.
inline Items make_items(const std::vector<ItemSpec>& specs, DType dtype) {
  Items items;
  for (const ItemSpec& spec : specs) {
    const uint64_t seed = 5 * items.here.size() + 1;
    UpdateItem here, there;
    const auto add = [&](Tensor& at, Tensor& copy, uint64_t which) {
      at = random_tensor({spec.size}, seed + which, dtype);
      if (which == 3)
        for (int64_t i = 0; i < spec.size; ++i)
          dtype == DType::f64 ? at.data<double>()[i] = std::fabs(at.data<double>()[i])
                              : at.data<float>()[i] = std::fabs(at.data<float>()[i]);
      copy = at_offset(at, spec.offset);
    };
    add(here.value, there.value, 0);
    if (spec.grad) add(here.grad, there.grad, 1);
    add(here.slot0, there.slot0, 2);
    add(here.slot1, there.slot1, 3);
    here.decay = there.decay = spec.decay;
    here.step = Tensor::full({1}, static_cast<double>(items.here.size() % 7), DType::f64);
    there.step = here.step.to(Device::cuda);
    items.here.push_back(here);
    items.there.push_back(there);
  }
  return items;
}

inline Tensor gate_on(Device device, double factor, double finite = 1) {
  return Tensor::from({1, factor, finite, 0}, {kGateSize}, DType::f64).to(device);
}

}  // namespace enas::test
