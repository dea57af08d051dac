// Sizes and lengths of the convolutional spaces that only a GPU runs in time: gradients at the
// published sizes, steps on a replayed list, memory and waits over random architectures.
#include "tests/cuda/schedules.h"
#ifndef ENAS_CUDA_ON_HOST
#include <optional>

#include "cuda/runtime.h"
#include "tests/cuda/image_search.h"

namespace enas::test {
namespace {

constexpr ImageSizes kSizes{16, 32, 10};

TEST(CudaLongImageSteps, GradientsAtFullSizeFollowTheCpu) {
  for (const Architecture& arch : some_architectures(MacroSpace(12), 2)) {
    const auto here = macro_child(12, 36, 10, DType::f32, Device::cpu),
               there = macro_child(12, 36, 10, DType::f32, Device::cuda);
    SCOPED_TRACE(here->space().to_string(arch));
    expect_same_step(*here, *there, kSizes, arch, 2e-2);
  }
  for (const Architecture& arch : some_architectures(MicroSpace(5), 2)) {
    const auto here = micro_child(5, 6, 20, 10, DType::f32, Device::cpu),
               there = micro_child(5, 6, 20, 10, DType::f32, Device::cuda);
    SCOPED_TRACE(here->space().to_string(arch));
    expect_same_step(*here, *there, kSizes, arch, 2e-2);
  }
}

// Losses drift apart as rounding grows through normalisation and rectifiers.
template <class Net>
void expect_losses(Net& here, Net& there, const std::vector<Architecture>& list) {
  ImageSearch<Net> cpu(here, kSizes), cuda(there, kSizes);
  double largest = 0;
  for (uint64_t k = 0; k < list.size(); ++k) {
    const StepReport want = cpu.step(list[k], k), got = cuda.step(list[k], k);
    ASSERT_TRUE(want.finite() && got.finite()) << "step " << k;
    const double difference = std::fabs(got.loss() - want.loss()) / want.loss();
    ASSERT_LE(difference, k < 5 ? 1e-3 : 5e-2) << "step " << k;
    largest = std::max(largest, difference);
  }
  testing::Test::RecordProperty("largest_relative_difference", std::to_string(largest));
}

TEST(CudaLongImageSteps, StepsOnAReplayedListFollowTheCpu) {
  const auto macro = macro_child(12, 36, 10, DType::f32, Device::cpu),
             macro_there = macro_child(12, 36, 10, DType::f32, Device::cuda);
  expect_losses(*macro, *macro_there, some_architectures(MacroSpace(12), 30));
  const auto micro = micro_child(5, 6, 20, 10, DType::f32, Device::cpu),
             micro_there = micro_child(5, 6, 20, 10, DType::f32, Device::cuda);
  expect_losses(*micro, *micro_there, some_architectures(MicroSpace(5), 30));
}

// `extremes`: the largest child and the smallest. After them random ones hardly need new slabs, and
// no step waits for the queue to drain; each report is read one step late.
template <class Net>
void expect_warm(Net& net, const std::vector<Architecture>& extremes,
                 const std::vector<Architecture>& list) {
  ImageSearch<Net> search(net, {64, 32, 10});
  uint64_t number = 0;
  std::optional<StepReport> before;
  const auto run = [&](const Architecture& arch) {
    StepReport report = search.step(arch, number++);
    if (before) {
      ASSERT_TRUE(before->finite());
    }
    before = std::move(report);
  };
  for (const Architecture& arch : extremes) run(arch);
  const cuda::Counters warm = cuda::counters();
  for (size_t k = 0; k < list.size() / 2; ++k) run(list[k]);
  const cuda::Counters half = cuda::counters();
  for (size_t k = list.size() / 2; k < list.size(); ++k) run(list[k]);
  const cuda::Counters after = cuda::counters();
  EXPECT_LE(half.device_allocations - warm.device_allocations, 2u);
  EXPECT_EQ(after.device_allocations, half.device_allocations);
  EXPECT_EQ(after.waits, warm.waits);
  EXPECT_EQ(after.upload_waits, warm.upload_waits);
  EXPECT_LE(after.late_waits - warm.late_waits, list.size());
  EXPECT_LE(static_cast<double>(after.reserved_bytes), 1.3 * static_cast<double>(after.peak_bytes));
}

TEST(CudaLongImageSteps, RandomArchitecturesAllocateNothingOnceWarm) {
  const MacroSpace macro(12);
  std::string large, small;
  for (int layer = 0; layer < 12; ++layer) {
    large += (layer == 0 ? "2" : " 2"), small += (layer == 0 ? "4" : " 4");
    for (int skip = 0; skip < layer; ++skip) large += " 1", small += " 0";
  }
  expect_warm(*macro_child(12, 36, 10, DType::f32, Device::cuda),
              {macro.parse(large), macro.parse(small)}, some_architectures(macro, 100));
  const MicroSpace micro(5);
  std::string separable, pools;
  for (int node = 0; node < 10; ++node) {
    separable += node == 0 ? "0 1 1 1" : " 0 1 1 1";
    pools += node == 0 ? "0 2 1 3" : " 0 2 1 3";
  }
  expect_warm(*micro_child(5, 6, 20, 10, DType::f32, Device::cuda),
              {micro.parse(separable), micro.parse(pools)}, some_architectures(micro, 100));
}

}  // namespace
}  // namespace enas::test
#endif
