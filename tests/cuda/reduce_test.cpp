// Sums over all elements on the device: one block, several, more elements than one sweep of blocks,
// odd addresses, nothing at all.
#include "ops/reduce.h"

#include <gtest/gtest.h>

#include "tests/cuda/compare.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

TEST(CudaReduce, SumsOfAnySizeAndAddress) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const int64_t n : {0, 1, 3, 4, 255, 2048, 2049, 9001}) {
      for (const int64_t offset : {0, 1}) {
        SCOPED_TRACE(testing::Message() << dtype << ' ' << n << " at " << offset);
        const Tensor a = random_tensor({n}, 1, dtype), b = random_tensor({n}, 2, dtype);
        const Tensor a_there = at_offset(a, offset), b_there = at_offset(b, 0);
        Tensor want({}, dtype), got({}, dtype, Device::cuda);
        const double bound = dtype == DType::f32 ? 1e-5 : 1e-12;
        cpu::sum_forward(a, 0.5, want);
        cuda::sum_forward(a_there, 0.5, got);
        EXPECT_NEAR(got.item(), want.item(), bound * 100);
        cpu::sum_squares_forward(a, 0.5, want);
        cuda::sum_squares_forward(a_there, 0.5, got);
        EXPECT_NEAR(got.item(), want.item(), bound * (want.item() + 1));
        cpu::sum_squared_difference_forward(a, b, 0.5, want);
        cuda::sum_squared_difference_forward(a_there, b_there, 0.5, got);
        EXPECT_NEAR(got.item(), want.item(), bound * (want.item() + 1));
      }
    }
  }
}

TEST(CudaReduce, SameBitsEachRun) {
  const Tensor x = random_tensor({5000}, 3, DType::f32), there = x.to(Device::cuda);
  Tensor want({}, DType::f32);
  cpu::sum_forward(x, 1, want);
  expect_same_each_run(want, 1e-4, [&] {
    Tensor y({}, DType::f32, Device::cuda);
    cuda::sum_forward(there, 1, y);
    return y;
  });
}

// More than 512 blocks' first sweep.
TEST(CudaReduce, ManyElementsKeepTheirDigits) {
  const int64_t n = (1 << 20) + 2051;
  const Tensor x = Tensor::full({n}, 0.1f, DType::f32, Device::cuda);
  Tensor y({}, DType::f32, Device::cuda);
  cuda::sum_forward(x, 1, y);
  EXPECT_EQ(y.item(), static_cast<float>(static_cast<double>(n) * static_cast<double>(0.1f)));
}

TEST(CudaReduce, NanTravelsAndNothingHasNoMean) {
  const Tensor x = Tensor::from({1, NAN, 2}, {3}).to(Device::cuda);
  EXPECT_TRUE(std::isnan(sum(x).value().item()));
  EXPECT_TRUE(std::isnan(mean_square(x).value().item()));
  const Tensor none({0, 4}, DType::f32, Device::cuda);
  EXPECT_EQ(sum(none).value().item(), 0);
  EXPECT_TRUE(std::isnan(mean(none).value().item()));
}

TEST(CudaReduce, GradientsAtAnyAddress) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const int64_t n : {1, 7, 1030}) {
      for (const Into into : {Into::write, Into::add}) {
        const Tensor a = random_tensor({n}, 1, dtype), b = random_tensor({n}, 2, dtype);
        const Tensor dy = Tensor::full({}, -1.7, dtype), dy_there = dy.to(Device::cuda);
        const Tensor a_there = at_offset(a, 1), b_there = at_offset(b, 0);
        Tensor dx = random_tensor({n}, 3, dtype), dx_there = at_offset(dx, 0);
        cpu::sum_backward(dy, 0.3, dx, into);
        cuda::sum_backward(dy_there, 0.3, dx_there, into);
        expect_near(dx_there, dx, rounding(dtype));
        cpu::sum_squares_backward(a, dy, 0.3, dx, into);
        cuda::sum_squares_backward(a_there, dy_there, 0.3, dx_there, into);
        expect_near(dx_there, dx, rounding(dtype));
        cpu::sum_squared_difference_backward(a, b, dy, 0.3, dx, into);
        cuda::sum_squared_difference_backward(a_there, b_there, dy_there, 0.3, dx_there, into);
        expect_near(dx_there, dx, rounding(dtype));
      }
    }
  }
}

}  // namespace
}  // namespace enas::test
