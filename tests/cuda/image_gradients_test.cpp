// A whole search step of both convolutional spaces on Device::cuda against the CPU: its loss, its
// gradient norm and the gradient of every weight, in f64 within rounding, in f32 beside it.
#include "tests/cuda/image_search.h"
#include "tests/cuda/schedules.h"

namespace enas::test {
namespace {

constexpr double kF64 = 1e-9, kF32 = 2e-3;
constexpr ImageSizes kSizes{5, 9, 3};

TEST(CudaImageGradients, OfAMacroSearchStep) {
  for (const auto& [dtype, bound] : {std::pair(DType::f64, kF64), std::pair(DType::f32, kF32)}) {
    for (const Architecture& arch : some_architectures(MacroSpace(4), 3)) {
      const auto here = macro_child(4, 5, 3, dtype, Device::cpu),
                 there = macro_child(4, 5, 3, dtype, Device::cuda);
      SCOPED_TRACE(here->space().to_string(arch) + ' ' + std::string(name_of(dtype)));
      expect_same_step(*here, *there, kSizes, arch, bound);
    }
  }
}

TEST(CudaImageGradients, OfAMicroSearchStep) {
  for (const auto& [dtype, bound] : {std::pair(DType::f64, kF64), std::pair(DType::f32, kF32)}) {
    for (const Architecture& arch : some_architectures(MicroSpace(2), 3)) {
      const auto here = micro_child(2, 1, 5, 3, dtype, Device::cpu),
                 there = micro_child(2, 1, 5, 3, dtype, Device::cuda);
      SCOPED_TRACE(here->space().to_string(arch) + ' ' + std::string(name_of(dtype)));
      expect_same_step(*here, *there, kSizes, arch, bound);
    }
  }
}

// Weights and running order of everything that a step touches, under each schedule.
TEST(CudaImageGradients, EveryScheduleGivesTheSameBits) {
  const Architecture macro = some_architectures(MacroSpace(3), 1)[0],
                     micro = some_architectures(MicroSpace(2), 1)[0];
  std::vector<std::map<std::string, std::string>> seen;
  for (int run = 0; run < cuda::test_runs(); ++run) {
    cuda::prepare_test_run(run);
    const auto a = macro_child(3, 4, 3, DType::f32, Device::cuda);
    const auto b = micro_child(2, 1, 3, 3, DType::f32, Device::cuda);
    ImageSearch<MacroChild> first(*a, {4, 7, 3});
    ImageSearch<MicroChild> second(*b, {4, 7, 3});
    std::map<std::string, std::string> bits;
    for (uint64_t k = 0; k < 2; ++k)
      EXPECT_TRUE(first.step(macro, k).finite() && second.step(micro, k).finite());
    for (const Parameter& p : a->parameters())
      bits["a." + p.name] = bytes_of(p.value.to(Device::cpu));
    for (const Parameter& p : b->parameters())
      bits["b." + p.name] = bytes_of(p.value.to(Device::cpu));
    seen.push_back(std::move(bits));
  }
  for (const auto& bits : seen) EXPECT_TRUE(bits == seen.front());
}

}  // namespace
}  // namespace enas::test
