// Drop path on the device against the CPU, and its draws.
#include "ops/drop_path.h"

#include <gtest/gtest.h>

#include "tests/cuda/compare.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

TEST(CudaDropPath, EveryExampleHasItsFactor) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Shape& shape : {Shape{3, 7, 5, 5}, Shape{5, 4, 4, 8}, Shape{4}, Shape{2, 1100},
                               Shape{0, 4}, Shape{65600, 1}}) {
      for (const int64_t offset : {0, 1}) {
        SCOPED_TRACE(testing::Message() << dtype << ' ' << shape << " at " << offset);
        const Tensor x = random_tensor(shape, 1, dtype);
        const Tensor keep = random_tensor({shape[0]}, 2, dtype);
        for (const Into into : {Into::write, Into::add}) {
          Tensor y = random_tensor(shape, 3, dtype), got = at_offset(y, 0);
          cpu::drop_path_apply(x, keep, y, into);
          cuda::drop_path_apply(at_offset(x, offset), keep.to(Device::cuda), got, into);
          expect_near(got, y, rounding(dtype));
        }
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(CudaDropPath, DrawsAreThoseOfTheCpu) {
  const Random random{5, Stream::drop_path, 9};
  const Tensor want = drop_path_keep(33, 0.6, random);
  expect_near(drop_path_keep(33, 0.6, random, DType::f32, Device::cuda), want, 0);
}

}  // namespace
}  // namespace enas::test
