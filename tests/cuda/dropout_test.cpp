// Masks on the device have the bits of the CPU's, and every form of mask finds its elements.
#include "ops/dropout.h"

#include <gtest/gtest.h>

#include "tests/cuda/compare.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

TEST(CudaDropout, MasksHaveTheBitsOfTheCpu) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Shape& shape :
         {Shape{1}, Shape{3}, Shape{4}, Shape{7, 33}, Shape{64, 200}, Shape{0, 4}}) {
      for (const double rate : {0.0, 0.25, 0.75}) {
        const Random random{5, Stream::output_dropout, 9};
        const Tensor want = dropout_mask(shape, rate, random, dtype);
        const Tensor got = dropout_mask(shape, rate, random, dtype, Device::cuda);
        ASSERT_EQ(got.device(), Device::cuda);
        const Tensor back = got.to(Device::cpu);
        EXPECT_EQ(std::memcmp(back.raw(), want.raw(), want.bytes()), 0)
            << dtype << ' ' << shape << " at rate " << rate;
      }
    }
  }
}

struct Form {
  Shape x, mask;
};
const Form kForms[] = {
    {{7, 33}, {7, 33}},  {{6, 8}, {2, 8}},    {{6, 5}, {2, 5}},       {{2060, 2}, {1, 2}},
    {{3, 2, 4}, {2, 4}}, {{6, 5}, {6}},       {{6, 300}, {6, 1}},     {{3, 2, 40}, {6}},
    {{0, 4}, {0}},       {{2060, 4}, {1, 4}}, {{4, 1032}, {2, 1032}},
};

TEST(CudaDropout, EveryFormOfMask) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Form& form : kForms) {
      for (const int64_t offset : {0, 1}) {
        SCOPED_TRACE(testing::Message()
                     << dtype << ' ' << form.x << " by " << form.mask << " at " << offset);
        const bool per_row = form.mask.rank() == 1 || form.mask[1] == 1;
        const Tensor x = random_tensor(form.x, 1, dtype), mask = random_tensor(form.mask, 2, dtype);
        const Tensor x_there = at_offset(x, offset), mask_there = at_offset(mask, offset);
        for (const Into into : {Into::write, Into::add}) {
          Tensor y = random_tensor(form.x, 3, dtype), y_there = at_offset(y, 0);
          cpu::dropout_apply(x, mask, per_row, y, into);
          cuda::dropout_apply(x_there, mask_there, per_row, y_there, into);
          expect_near(y_there, y, rounding(dtype));
        }
        if (HasFatalFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace enas::test
