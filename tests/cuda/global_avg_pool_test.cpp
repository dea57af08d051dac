// Global average pooling on the device against the CPU, under every schedule.
#include "ops/global_avg_pool.h"

#include <gtest/gtest.h>

#include "tests/cuda/compare.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

const Shape kShapes[] = {{2, 7, 5, 5}, {3, 8, 8, 36}, {1, 1, 1, 17}, {2, 3, 3, 65}, {0, 4, 4, 4}};

TEST(CudaGlobalAvgPool, Means) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Shape& shape : kShapes) {
      for (const bool relu : {false, true}) {
        SCOPED_TRACE(testing::Message() << dtype << ' ' << shape << " relu " << relu);
        const Tensor x = random_tensor(shape, 1, dtype);
        Tensor y({shape[0], shape[3]}, dtype);
        cpu::global_avg_pool_forward(x, relu, y);
        expect_same_each_run(y, 4 * rounding(dtype), [&] {
          Tensor got({shape[0], shape[3]}, dtype, Device::cuda);
          cuda::global_avg_pool_forward(x.to(Device::cuda), relu, got);
          return got;
        });
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(CudaGlobalAvgPool, ManyImages) {
  const Tensor x = random_tensor({65600, 1, 2, 1}, 1, DType::f32);
  const Tensor want = global_avg_pool(x).value();
  expect_near(global_avg_pool(x.to(Device::cuda)).value(), want, rounding(DType::f32));
}

TEST(CudaGlobalAvgPool, Gradients) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Shape& shape : kShapes) {
      for (const bool relu : {false, true}) {
        for (const int64_t offset : {0, 1}) {
          SCOPED_TRACE(testing::Message() << dtype << ' ' << shape << " relu " << relu);
          Tensor x = random_tensor(shape, 1, dtype);
          if (x.numel() > 3) x.slice(0, 1).reshape({x.numel() / x.size(0)}).slice(2, 3).fill(0);
          const Tensor dy = random_tensor({shape[0], shape[3]}, 2, dtype);
          for (const Into into : {Into::write, Into::add}) {
            Tensor dx = random_tensor(shape, 3, dtype), got = at_offset(dx, 0);
            cpu::global_avg_pool_backward(dy, x, relu, dx, into);
            cuda::global_avg_pool_backward(at_offset(dy, offset), at_offset(x, offset), relu, got,
                                           into);
            expect_near(got, dx, rounding(dtype));
          }
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

}  // namespace
}  // namespace enas::test
