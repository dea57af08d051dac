// Sampling on the device: the actions of the CPU for the same logits, of few and of many choices.
#include "ops/sample.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cuda/runtime.h"
#include "tests/cuda/compare.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

constexpr Random kRandom{11, Stream::test, 5};

TEST(CudaSample, DrawsTheActionsOfTheCpu) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const int64_t n : {1, 5, 32, 33, 128, 129, 1500}) {
      SCOPED_TRACE(testing::Message() << dtype << ' ' << n << " choices");
      const int64_t rows = n > 1000 ? 4 : 40;
      Tensor wide = random_tensor({rows, n}, 1);
      for (int64_t i = 0; i < wide.numel(); ++i) wide.data<double>()[i] *= 3;
      for (int64_t r = 0; r < rows && n > 4; r += 2) wide.data<double>()[r * n + 3] = -INFINITY;
      const Tensor x = wide.to(dtype), there = x.to(Device::cuda);
      const CategoricalResult want = sample_categorical(x, kRandom, 1000);
      CategoricalResult got;
      expect_same_each_run(want.actions, 0, [&] {
        got = sample_categorical(there, kRandom, 1000);
        return got.actions;
      });
      expect_near(got.log_prob, want.log_prob, 1e-14);
      expect_near(got.entropy, want.entropy, 1e-14);
      if (HasFatalFailure()) return;
    }
  }
}

// Weights of 0 are passed over, and a sum that just reaches its target is not yet beyond it: the
// draws of many rows of two equal choices meet both sides.
TEST(CudaSample, NeverTheImpossible) {
  const double no = -INFINITY;
  std::vector<double> v;
  for (int r = 0; r < 200; ++r) v.insert(v.end(), {no, 0, no, 0, no});
  const Tensor x = Tensor::from(v, {200, 5}, DType::f64);
  const CategoricalResult want = sample_categorical(x, kRandom);
  const uint64_t waits = cuda::counters().waits;
  const Tensor there = x.to(Device::cuda);
  const CategoricalResult got = sample_categorical(there, kRandom);
  EXPECT_EQ(cuda::counters().waits, waits);
  EXPECT_EQ(got.actions.to_vector(), want.actions.to_vector());
  EXPECT_DOUBLE_EQ(got.entropy.item(7), std::log(2.0));
}

TEST(CudaSample, LogitsThatAreNotFinite) {
  for (const std::vector<double>& bad : std::vector<std::vector<double>>{
           {0, NAN}, {NAN, 0}, {0, INFINITY}, {-INFINITY, -INFINITY}}) {
    const Tensor x = Tensor::from({1, -INFINITY, bad[0], bad[1]}, {2, 2}).to(Device::cuda);
    const CategoricalResult got = sample_categorical(x, kRandom);
    EXPECT_EQ(error_of([&] { got.actions.item(0); }, ErrorKind::diverged),
              "sample_categorical: logits of row 1 are not finite; try a smaller learning rate");
    EXPECT_EQ(got.actions.to_vector(), (Values{0, 0}));
    EXPECT_EQ(got.log_prob.item(0), 0);
    EXPECT_TRUE(std::isnan(got.log_prob.item(1)) && std::isnan(got.entropy.item(1)));
  }
  EXPECT_EQ(sample_categorical(Tensor({0, 3}, DType::f32, Device::cuda), kRandom).actions.numel(),
            0);
}

}  // namespace
}  // namespace enas::test
