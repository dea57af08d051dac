// The kernel of the gradient norm: ragged lists, values at odd addresses, every way to a closed
// gate.
#include "ops/grad_norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cuda/runtime.h"
#include "tests/cuda/update_items.h"

namespace enas::test {
namespace {

Tensor loss_on(Device device, double value = 2.5, DType dtype = DType::f64) {
  return Tensor::full({1}, value, dtype).to(device);
}

std::vector<UpdateItem> one_item(const Tensor& value, const Tensor& grad, double decay = 0) {
  std::vector<UpdateItem> items(1);
  items[0].value = value;
  items[0].grad = grad;
  items[0].decay = decay;
  return items;
}

// The vector loops of the CPU may fuse decay * value + grad, which rounds otherwise in f32.
TEST(CudaGradNorm, ARaggedListEqualsTheCpu) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Items items = make_items(ragged_specs(), dtype);
    const Tensor want = grad_norm(items.here, 0.25, loss_on(Device::cpu));
    expect_same_each_run(want, dtype == DType::f64 ? 1e-13 : 1e-7,
                         [&] { return grad_norm(items.there, 0.25, loss_on(Device::cuda)); });
  }
}

// Squares of f32 are exact in double: without decay only the order of the sums differs.
TEST(CudaGradNorm, BothTypesInOneLaunch) {
  std::vector<ItemSpec> specs = ragged_specs();
  for (ItemSpec& spec : specs) spec.decay = 0;
  Items items = make_items(specs, DType::f32), wide = make_items(specs, DType::f64);
  for (size_t i = 1; i < specs.size(); i += 2) {
    items.here[i] = wide.here[i];
    items.there[i] = wide.there[i];
  }
  const Tensor want = grad_norm(items.here, 0.25, loss_on(Device::cpu, 1.5, DType::f32));
  const Tensor loss = loss_on(Device::cuda, 1.5, DType::f32);
  const uint64_t before = cuda::counters().launches, waits = cuda::counters().waits;
  const Tensor got = grad_norm(items.there, 0.25, loss);
  EXPECT_EQ(cuda::counters().launches, before + 1);
  EXPECT_EQ(cuda::counters().waits, waits);
  expect_near(got, want, 1e-13);
}

TEST(CudaGradNorm, ClipFactorIsExactAndZeroIsOff) {
  const Tensor value = Tensor::zeros({2}, DType::f32, Device::cuda);
  const auto items = one_item(value, Tensor::from({3, 4}, {2}).to(Device::cuda));
  const Tensor loss = loss_on(Device::cuda);
  EXPECT_EQ(grad_norm(items, 0, loss).to_vector(), (Values{5, 1, 1, 2.5}));
  EXPECT_EQ(grad_norm(items, 2, loss).to_vector(), (Values{5, 2 / (5 + 1e-6), 1, 2.5}));
  EXPECT_EQ(grad_norm(items, 6, loss).item(kGateFactor), 1.0);
  EXPECT_EQ(grad_norm({}, 1, loss).to_vector(), (Values{0, 1, 1, 2.5}));
}

// At the ends of pieces, in vectors and in tails.
TEST(CudaGradNorm, AnyNonFiniteElementClosesTheGate) {
  constexpr int64_t kSize = 8192 + 7;
  for (const double bad : {double{NAN}, double{INFINITY}, -double{INFINITY}}) {
    for (const int64_t at : {int64_t{0}, int64_t{8191}, int64_t{8192}, kSize - 1}) {
      for (const DType dtype : {DType::f32, DType::f64}) {
        for (const double decay : {0.0, 0.5}) {
          Values values(kSize, 1.0);
          const Tensor good = Tensor::from(values, {kSize}, dtype).to(Device::cuda);
          values[static_cast<size_t>(at)] = bad;
          const Tensor grad = Tensor::from(values, {kSize}, dtype).to(Device::cuda);
          const Tensor loss = loss_on(Device::cuda);
          const auto finite = [&](const Tensor& v, const Tensor& g) {
            return grad_norm(one_item(v, g, decay), 1, loss).to_vector();
          };
          ASSERT_EQ(finite(good, grad)[kGateFinite], 0) << bad << " at " << at;
          ASSERT_EQ(finite(good, grad)[kGateFactor], 0);
          // A value counts where it decays.
          ASSERT_EQ(finite(grad, good)[kGateFinite], decay == 0 ? 1 : 0) << bad << " at " << at;
        }
      }
    }
  }
}

TEST(CudaGradNorm, ALossOrAGateBeforeClosesTheGate) {
  const auto items = one_item(Tensor::zeros({2}, DType::f32, Device::cuda),
                              Tensor::from({3, 4}, {2}).to(Device::cuda));
  for (const double bad : {double{NAN}, double{INFINITY}}) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Tensor gate = grad_norm(items, 0, loss_on(Device::cuda, bad, dtype));
      EXPECT_EQ(gate.item(kGateFinite), 0);
      EXPECT_EQ(gate.item(kGateNorm), 5);
    }
  }
  const Tensor loss = loss_on(Device::cuda);
  EXPECT_EQ(grad_norm(items, 0, loss, gate_on(Device::cuda, 1)).item(kGateFinite), 1);
  const Tensor next = grad_norm(items, 0, loss, gate_on(Device::cuda, 1, 0));
  EXPECT_EQ(next.item(kGateFinite), 0);
  EXPECT_EQ(grad_norm(items, 0, loss, next).item(kGateFinite), 0);
}

TEST(CudaGradNorm, RefusesTensorsOfBothDevices) {
  const Tensor here = Tensor::zeros({3}), there = here.to(Device::cuda);
  const Tensor loss = loss_on(Device::cuda);
  EXPECT_THROW(grad_norm(one_item(here, here), 0, loss), Error);
  EXPECT_THROW(grad_norm(one_item(there, here), 0, loss), Error);
  EXPECT_THROW(grad_norm(one_item(there, there), 0, loss, gate_on(Device::cpu, 1)), Error);
  EXPECT_THROW(grad_norm(one_item(there, there), 0, loss_on(Device::cpu)), Error);
}

}  // namespace
}  // namespace enas::test
