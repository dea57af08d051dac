// The update kernels: ragged lists in one launch, in f64 the CPU's very bits under the shim; a
// closed gate; Adam's counts.
#include "ops/optimizer_update.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cuda/runtime.h"
#include "tests/cuda/update_items.h"

namespace enas::test {
namespace {

// Of values of about 1. A GPU fuses products and sums, as do the CPU's f32 loops; the shim's
// compiler does not, nor do the CPU's f64 loops.
double bound(DType dtype) { return dtype == DType::f32 ? 4e-6 : cuda::kOnHost ? 0 : 1e-15; }

void expect_close(const Tensor& got, const Tensor& want, double most) {
  const Values have = got.to_vector(), expected = want.to_vector();
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_LE(std::fabs(have[i] - expected[i]), most) << "element " << i << " of " << got.shape();
  }
}

template <class Items>
void expect_same_items(const Items& got, const Items& want, double relative) {
  for (size_t i = 0; i < want.size(); ++i) {
    SCOPED_TRACE(testing::Message() << "item " << i);
    expect_close(got[i].value, want[i].value, relative);
    expect_close(got[i].slot0, want[i].slot0, relative);
    expect_close(got[i].slot1, want[i].slot1, relative);
    ASSERT_EQ(got[i].step.item(), want[i].step.item());
    if (testing::Test::HasFatalFailure()) return;
  }
}

bool same_bits(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(Device::cpu), y = b.to(Device::cpu);
  return x.bytes() == y.bytes() && std::memcmp(x.raw(), y.raw(), x.bytes()) == 0;
}

// rule on the ragged list on both devices, under every schedule.
template <class Rule>
void compare(const Rule& rule) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    Items items = make_items(ragged_specs(), dtype);
    optimizer_update(rule, items.here, gate_on(Device::cpu, 0.5));
    for (int run = 0; run < cuda::test_runs(); ++run) {
      cuda::prepare_test_run(run);
      std::vector<UpdateItem> there = make_items(ragged_specs(), dtype).there;
      const Tensor gate = gate_on(Device::cuda, 0.5);
      const uint64_t before = cuda::counters().launches, waits = cuda::counters().waits;
      optimizer_update(rule, there, gate);
      EXPECT_EQ(cuda::counters().launches, before + 1);
      EXPECT_EQ(cuda::counters().waits, waits);
      expect_same_items(there, items.here, bound(dtype));
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(CudaOptimizerUpdate, SgdOfARaggedListEqualsTheCpu) {
  compare(SgdRule{.lr = 0.375});
  compare(SgdRule{.lr = 0.375, .momentum = 0.875});
  compare(SgdRule{.lr = 0.375, .momentum = 0.875, .nesterov = true});
}

TEST(CudaOptimizerUpdate, AdamOfARaggedListEqualsTheCpu) {
  compare(AdamRule{.lr = 0.375});
  compare(AdamRule{.lr = 0.375, .beta1 = 0, .epsilon = 1e-3});
}

// Items of both types in one launch, and three steps: the counts on the device go on.
TEST(CudaOptimizerUpdate, AdamCountsTheStepsOfEachItem) {
  Items items = make_items(ragged_specs(), DType::f32);
  const Items wide = make_items(ragged_specs(), DType::f64);
  for (size_t i = 0; i < items.here.size(); i += 2) {
    items.here[i] = wide.here[i];
    items.there[i] = wide.there[i];
  }
  for (int step = 0; step < 3; ++step) {
    optimizer_update(AdamRule{.lr = 0.01}, items.here, gate_on(Device::cpu, 1));
    optimizer_update(AdamRule{.lr = 0.01}, items.there, gate_on(Device::cuda, 1));
  }
  expect_same_items(items.there, items.here, 2e-6);
  for (size_t i = 0; i < items.there.size(); ++i) {
    EXPECT_EQ(items.there[i].step.item(), static_cast<double>(i % 7 + 3));
  }
}

TEST(CudaOptimizerUpdate, AClosedGateLeavesEveryBit) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (int rule = 0; rule < 3; ++rule) {
      Items items = make_items(ragged_specs(), dtype);
      const Tensor gate = gate_on(Device::cuda, 0.5, 0);
      if (rule == 0) optimizer_update(SgdRule{.lr = 0.1}, items.there, gate);
      if (rule == 1) optimizer_update(SgdRule{.lr = 0.1, .momentum = 0.9}, items.there, gate);
      if (rule == 2) optimizer_update(AdamRule{.lr = 0.1}, items.there, gate);
      for (size_t i = 0; i < items.here.size(); ++i) {
        ASSERT_TRUE(same_bits(items.there[i].value, items.here[i].value)) << i;
        ASSERT_TRUE(same_bits(items.there[i].slot0, items.here[i].slot0)) << i;
        ASSERT_TRUE(same_bits(items.there[i].slot1, items.here[i].slot1)) << i;
        ASSERT_TRUE(same_bits(items.there[i].step, items.here[i].step)) << i;
      }
    }
  }
}

// The same tensors as averages (slot0) of values, count updates before.
std::vector<AverageItem> averages_of(const std::vector<UpdateItem>& items) {
  std::vector<AverageItem> list;
  for (const UpdateItem& item : items) list.push_back({item.value, item.slot0});
  return list;
}

TEST(CudaOptimizerUpdate, AveragesOfARaggedListEqualTheCpu) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (int run = 0; run < cuda::test_runs(); ++run) {
      cuda::prepare_test_run(run);
      Items items = make_items(ragged_specs(), dtype);
      std::vector<AverageItem> here = averages_of(items.here), there = averages_of(items.there);
      for (AverageItem& item : there) item.average.fill(NAN);  // the first fold copies
      Tensor count = Tensor::zeros({1}, DType::f64), counted = count.to(Device::cuda);
      for (int step = 0; step < 3; ++step) {
        average_update(here, count, gate_on(Device::cpu, 1));
        average_update(there, counted, gate_on(Device::cuda, 1));
        for (size_t i = 0; i < here.size(); ++i) {
          expect_close(there[i].average, here[i].average, bound(dtype));
          const bool copied = same_bits(there[i].average, items.here[i].value);
          ASSERT_TRUE(step > 0 || copied) << i;
          here[i].value.copy_from(items.here[i].slot1);
          there[i].value.copy_from(items.there[i].slot1);
        }
        ASSERT_EQ(counted.item(), step + 1);
      }
    }
  }
}

TEST(CudaOptimizerUpdate, AClosedGateStopsTheAverage) {
  Items items = make_items(ragged_specs(), DType::f32);
  std::vector<AverageItem> there = averages_of(items.there);
  Tensor count = Tensor::full({1}, 1, DType::f64).to(Device::cuda);
  average_update(there, count, gate_on(Device::cuda, 1, 0));
  EXPECT_EQ(count.item(), 1);
  for (size_t i = 0; i < there.size(); ++i) {
    ASSERT_TRUE(same_bits(there[i].average, items.here[i].slot0)) << i;
  }
  average_update({}, count, gate_on(Device::cuda, 1));
  EXPECT_EQ(count.item(), 2);
}

TEST(CudaOptimizerUpdate, RefusesTensorsOfBothDevices) {
  Items items = make_items({{5}}, DType::f32);
  const Tensor gate = gate_on(Device::cuda, 1);
  EXPECT_THROW(optimizer_update(SgdRule{.lr = 1}, items.here, gate), Error);
  EXPECT_THROW(optimizer_update(SgdRule{.lr = 1}, items.there, gate_on(Device::cpu, 1)), Error);
  items.there[0].step = items.here[0].step;
  EXPECT_THROW(optimizer_update(AdamRule{.lr = 1}, items.there, gate), Error);
  std::vector<AverageItem> averages = averages_of(items.there);
  Tensor count = Tensor::zeros({1}, DType::f64);
  EXPECT_THROW(average_update(averages, count, gate), Error);
}

}  // namespace
}  // namespace enas::test
