// Factorised reduction on the device against the CPU: odd sizes, relu,
// statistics, gradients written and added.
#include "ops/factorized_reduction.h"

#include <gtest/gtest.h>

#include "tests/cuda/compare.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

struct Form {
  Shape x;
  int64_t c1, c2;
};
const Form kForms[] = {{{2, 7, 5, 5}, 2, 3},
                       {{1, 8, 6, 8}, 6, 6},
                       {{3, 1, 1, 4}, 3, 3},
                       {{2, 5, 4, 17}, 9, 8},
                       {{1, 4, 3, 20}, 20, 20}};

template <class F>
void each_form(F f) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Form& form : kForms) {
      for (const bool relu : {false, true}) {
        SCOPED_TRACE(testing::Message() << dtype << ' ' << form.x << " relu " << relu);
        const Tensor x = random_tensor(form.x, 1, dtype);
        const Tensor w1 = random_tensor({form.x[3], form.c1}, 2, dtype);
        const Tensor w2 = random_tensor({form.x[3], form.c2}, 3, dtype);
        const Shape out{form.x[0], (form.x[1] + 1) / 2, (form.x[2] + 1) / 2, form.c1 + form.c2};
        f(x, w1, w2, relu, out);
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

TEST(CudaFactorizedReduction, ValuesAndStatistics) {
  each_form([](const Tensor& x, const Tensor& w1, const Tensor& w2, bool relu, const Shape&) {
    const RawConv want = factorized_reduction(x, w1, w2, relu, true);
    for (const int64_t offset : {0, 1}) {
      const RawConv got = factorized_reduction(at_offset(x, offset), w1.to(Device::cuda),
                                               w2.to(Device::cuda), relu, true);
      expect_near(got.y.value(), want.y.value(), 20 * rounding(x.dtype()));
      expect_near(got.stats.mean, want.stats.mean, 20 * rounding(x.dtype()));
      expect_near(got.stats.variance, want.stats.variance, 20 * rounding(x.dtype()));
    }
  });
}

TEST(CudaFactorizedReduction, GradientsOfTheInput) {
  each_form([](const Tensor& x, const Tensor& w1, const Tensor& w2, bool relu, const Shape& out) {
    const Tensor dy = random_tensor(out, 4, x.dtype());
    for (const Into into : {Into::write, Into::add}) {
      Tensor dx = random_tensor(x.shape(), 5, x.dtype()), got = at_offset(dx, 0);
      cpu::factorized_reduction_backward_input(x, w1, w2, relu, dy, dx, into);
      cuda::factorized_reduction_backward_input(at_offset(x, 0), w1.to(Device::cuda),
                                                w2.to(Device::cuda), relu, dy.to(Device::cuda), got,
                                                into);
      expect_near(got, dx, 20 * rounding(x.dtype()));
    }
  });
}

TEST(CudaFactorizedReduction, GradientsOfTheWeights) {
  each_form([](const Tensor& x, const Tensor& w1, const Tensor& w2, bool relu, const Shape& out) {
    const Tensor dy = random_tensor(out, 4, x.dtype());
    for (const int path : {0, 1}) {
      for (const Into into : {Into::write, Into::add}) {
        Tensor dw = random_tensor((path == 0 ? w1 : w2).shape(), 6, x.dtype());
        Tensor got = at_offset(dw, 0);
        cpu::factorized_reduction_backward_weight(x, relu, dy, path, dw, into);
        cuda::factorized_reduction_backward_weight(x.to(Device::cuda), relu, dy.to(Device::cuda),
                                                   path, got, into);
        expect_near(got, dw, 20 * rounding(x.dtype()));
      }
    }
  });
}

}  // namespace
}  // namespace enas::test
