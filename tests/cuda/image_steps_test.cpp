// Steps of the convolutional networks on Device::cuda against the CPU, from the same start: losses,
// weights and running statistics within rounding, the same scores; no wait of the host inside a
// step.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "cuda/runtime.h"
#include "nas/macro/final.h"
#include "nas/micro/final.h"
#include "tests/cuda/image_search.h"
#include "tests/cuda/schedules.h"

namespace enas::test {
namespace {

constexpr int32_t kClasses = 3;
constexpr ImageSizes kSizes{6, 9, kClasses};

void expect_close(const Tensor& got, const Tensor& want, double relative, const std::string& what) {
  const std::vector<double> a = got.to_vector(), b = want.to_vector();
  double scale = 1e-3;
  for (const double v : b) scale = std::max(scale, std::fabs(v));
  for (size_t i = 0; i < b.size(); ++i)
    ASSERT_NEAR(a[i], b[i], relative * scale) << what << " element " << i;
}

// make(device) -> the same network there; every step another architecture of the list.
template <class Make>
void expect_devices_agree(const Make& make, const std::vector<Architecture>& archs) {
  auto net_here = make(Device::cpu), net_there = make(Device::cuda);
  using Net = typename decltype(net_here)::element_type;
  ImageSearch<Net> here(*net_here, kSizes), there(*net_there, kSizes);
  auto twin = net_there->parameters().begin();
  for (const Parameter& p : net_here->parameters())
    EXPECT_EQ(bytes_of((twin++)->value.to(Device::cpu)), bytes_of(p.value)) << p.name;
  for (uint64_t k = 0; k < 3; ++k) {
    const Architecture& arch = archs[k % archs.size()];
    const StepReport want = here.step(arch, k), got = there.step(arch, k);
    ASSERT_TRUE(got.finite());
    EXPECT_NEAR(got.loss(), want.loss(), 1e-4 * want.loss()) << "step " << k;
    EXPECT_NEAR(got.grad_norm(), want.grad_norm(), 1e-3 * want.grad_norm()) << "step " << k;
    EXPECT_EQ(there.task.last_score().read().images, kSizes.batch);
  }
  for (const Parameter& p : net_here->parameters())
    expect_close(net_there->parameters().get(p.name).value, p.value, 2e-3, p.name);
  auto running = net_there->parameters().buffers().begin();
  for (const Buffer& b : net_here->parameters().buffers())
    expect_close((running++)->value, b.value, 2e-3, b.name);
  const ImageScore want = here.task.score(archs[0]), got = there.task.score(archs[0]);
  EXPECT_NEAR(got.loss(), want.loss(), 2e-3 * want.loss());
  EXPECT_EQ(here.task.rewards(archs, 3).size(), there.task.rewards(archs, 3).size());
}

TEST(CudaImageSteps, MacroSearchFollowsTheCpu) {
  for (const bool running : {false, true}) {
    const MacroSpace space(3, {.concat_input = running});
    MacroChildOptions options;
    options.filters = 5, options.classes = kClasses, options.running_bn = running;
    expect_devices_agree(
        [&](Device device) {
          return std::make_unique<MacroChild>(space, options, 1, DType::f32, nullptr, device);
        },
        some_architectures(space, 3));
  }
}

TEST(CudaImageSteps, MicroSearchFollowsTheCpu) {
  for (const bool stride2 : {false, true}) {
    const MicroSpace space(2);
    MicroChildOptions options;
    options.normal_cells = 1, options.filters = 5, options.classes = kClasses;
    options.reduce_stride2 = stride2;
    expect_devices_agree(
        [&](Device device) {
          return std::make_unique<MicroChild>(space, options, 1, DType::f32, nullptr, device);
        },
        some_architectures(space, 3));
  }
}

TEST(CudaImageSteps, FinalNetworksFollowTheCpu) {
  const MacroSpace macro(3);
  const Architecture layers = macro.parse("1 4 1 2 1 1");
  MacroFinalOptions options;
  options.filters = 4, options.classes = kClasses;
  expect_devices_agree(
      [&](Device device) {
        return std::make_unique<MacroFinal>(macro, layers, options, 1, DType::f32, device);
      },
      {layers});
  const MicroSpace micro(2);
  MicroFinalOptions final;
  final.normal_cells = 1, final.filters = 3, final.classes = kClasses;
  final.auxiliary = false;
  for (const char* text : {"0 0 1 4 0 3 1 2 0 1 1 4 2 3 0 4", "0 0 0 0 0 2 2 3 1 4 1 1 0 0 0 2"}) {
    const Architecture cells = micro.parse(text);
    expect_devices_agree(
        [&](Device device) {
          return std::make_unique<MicroFinal>(micro, cells, final, 1, DType::f32, device);
        },
        {cells});
  }
}

TEST(CudaImageSteps, AWarmStepWaitsForNothing) {
  const MicroSpace space(2);
  const Architecture arch = space.parse("0 0 1 4 0 3 1 2 0 1 1 4 2 3 0 4");
  MicroFinalOptions options;
  options.normal_cells = 1, options.filters = 3, options.classes = kClasses;
  options.auxiliary = false;
  MicroFinal net(space, arch, options, 1, DType::f32, Device::cuda);
  ImageSearch<MicroFinal> search(net, kSizes);
  StepReport before = search.step(arch, 0);
  for (uint64_t k = 1; k < 3; ++k) before = search.step(arch, k);
  const cuda::Counters warm = cuda::counters();
  for (uint64_t k = 3; k < 5; ++k) {
    StepReport report = search.step(arch, k);
    EXPECT_TRUE(before.finite());  // of the step before: read one step late
    before = std::move(report);
  }
  const cuda::Counters after = cuda::counters();
  EXPECT_EQ(after.waits, warm.waits);
  EXPECT_EQ(after.upload_waits, warm.upload_waits);
  if (!cuda::kOnHost) {  // the shim guards each block instead of keeping it
    EXPECT_EQ(after.device_allocations, warm.device_allocations);
  }
  EXPECT_GT(after.launches, warm.launches);
}

// Rewards of one policy update: read when all have been issued.
TEST(CudaImageSteps, RewardsWaitOnce) {
  const MacroSpace space(3);
  MacroChildOptions options;
  options.filters = 4, options.classes = kClasses;
  MacroChild net(space, options, 1, DType::f32, nullptr, Device::cuda);
  ImageSearch<MacroChild> search(net, kSizes);
  const auto archs = some_architectures(space, 3);
  search.task.rewards(archs, 0);
  const uint64_t before = cuda::counters().waits + cuda::counters().late_waits;
  search.task.rewards(archs, 3);
  const uint64_t waits = cuda::counters().waits + cuda::counters().late_waits - before;
  EXPECT_LE(waits, 1u);
  EXPECT_GE(waits, cuda::kOnHost ? 1u : 0u);  // a GPU may have the last one by then
}

}  // namespace
}  // namespace enas::test
