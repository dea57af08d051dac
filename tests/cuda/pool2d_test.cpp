// Pools on the device against the CPU's plain loops: values and places, gradients written and
// added, for moves of one and of several channels.
#include "ops/pool2d.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/cuda/compare.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

struct Form {
  Shape x;
  Window2d window;
};
const Form kForms[] = {
    {{2, 7, 5, 5}, {3, 1, Padding::same}},     {{2, 7, 5, 8}, {3, 1, Padding::same}},
    {{1, 7, 5, 17}, {3, 2, Padding::tf_same}}, {{3, 8, 6, 20}, {3, 2, Padding::same}},
    {{2, 8, 9, 4}, {5, 3, Padding::valid}},    {{1, 1, 1, 3}, {3, 1, Padding::same}},
    {{2, 6, 7, 4}, {2, 2, Padding::valid}},    {{1, 9, 10, 36}, {3, 1, Padding::same}},
    {{0, 4, 4, 4}, {3, 1, Padding::same}},     {{1, 6, 5, 2}, {1, 3, Padding::same}},
};

// Few different values, so that ties are frequent.
Tensor coarse(const Shape& shape, uint64_t seed, DType dtype) {
  std::vector<double> values = random_tensor(shape, seed, DType::f64).to_vector();
  for (double& v : values) v = std::floor(4 * v);
  return Tensor::from(values, shape, dtype);
}
Shape pooled(const Form& form) {
  return {form.x[0], form.window.output(form.x[1]), form.window.output(form.x[2]), form.x[3]};
}

template <class F>
void each_form(F f) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Form& form : kForms) {
      for (const int64_t offset : {0, 1}) {
        SCOPED_TRACE(testing::Message() << dtype << ' ' << form.x << " kernel "
                                        << form.window.kernel << " at " << offset);
        f(dtype, form, offset);
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

TEST(CudaPool2d, MaximaAndPlaces) {
  each_form([](DType dtype, const Form& form, int64_t offset) {
    for (const Tensor& x : {coarse(form.x, 1, dtype), random_tensor(form.x, 1, dtype)}) {
      Tensor y(pooled(form), dtype), index(pooled(form), DType::u8);
      cpu::max_pool2d_forward(x, form.window, y, index);
      const Tensor there = at_offset(x, offset);
      Tensor got(pooled(form), dtype, Device::cuda), places(pooled(form), DType::u8, Device::cuda);
      cuda::max_pool2d_forward(there, form.window, got, places);
      expect_near(got, y, 0);
      expect_near(places, index, 0);
      Tensor alone(pooled(form), dtype, Device::cuda), nothing;
      cuda::max_pool2d_forward(there, form.window, alone, nothing);
      expect_near(alone, y, 0);
    }
  });
}

TEST(CudaPool2d, ANanIsTheMaximum) {
  for (const int64_t channels : {3, 4}) {
    std::vector<double> values(static_cast<size_t>(20 * channels), 1.0);
    values[static_cast<size_t>(7 * channels)] = values[static_cast<size_t>(8 * channels)] = NAN;
    const Tensor x = Tensor::from(values, {1, 4, 5, channels});
    Tensor y = empty_like(x), index(x.shape(), DType::u8);
    cpu::max_pool2d_forward(x, {}, y, index);
    Tensor got(x.shape(), DType::f32, Device::cuda), places(x.shape(), DType::u8, Device::cuda);
    cuda::max_pool2d_forward(x.to(Device::cuda), {}, got, places);
    const std::vector<double> want = y.to_vector(), have = got.to_vector();
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_TRUE(have[i] == want[i] || (std::isnan(have[i]) && std::isnan(want[i]))) << i;
    }
    EXPECT_EQ(places.to_vector(), index.to_vector());
  }
}

TEST(CudaPool2d, GradientsOfMaxima) {
  each_form([](DType dtype, const Form& form, int64_t offset) {
    const Tensor x = coarse(form.x, 1, dtype), dy = random_tensor(pooled(form), 2, dtype);
    Tensor y(pooled(form), dtype), index(pooled(form), DType::u8);
    cpu::max_pool2d_forward(x, form.window, y, index);
    for (const Into into : {Into::write, Into::add}) {
      Tensor dx = random_tensor(form.x, 3, dtype), got = at_offset(dx, 0);
      cpu::max_pool2d_backward(index, dy, form.window, dx, into);
      cuda::max_pool2d_backward(at_offset(index, offset), at_offset(dy, offset), form.window, got,
                                into);
      expect_near(got, dx, 4 * rounding(dtype));
    }
  });
}

TEST(CudaPool2d, Means) {
  each_form([](DType dtype, const Form& form, int64_t offset) {
    const Tensor x = random_tensor(form.x, 1, dtype);
    Tensor y(pooled(form), dtype);
    cpu::avg_pool2d_forward(x, form.window, y);
    Tensor got(pooled(form), dtype, Device::cuda);
    cuda::avg_pool2d_forward(at_offset(x, offset), form.window, got);
    expect_near(got, y, 4 * rounding(dtype));
  });
}

TEST(CudaPool2d, GradientsOfMeans) {
  each_form([](DType dtype, const Form& form, int64_t offset) {
    const Tensor dy = random_tensor(pooled(form), 2, dtype);
    for (const Into into : {Into::write, Into::add}) {
      Tensor dx = random_tensor(form.x, 3, dtype), got = at_offset(dx, 0);
      cpu::avg_pool2d_backward(dy, form.window, dx, into);
      cuda::avg_pool2d_backward(at_offset(dy, offset), form.window, got, into);
      expect_near(got, dx, 4 * rounding(dtype));
    }
  });
}

// More images than a grid has rows of blocks.
TEST(CudaPool2d, ManyImages) {
  const Tensor x = random_tensor({65600, 1, 2, 1}, 1, DType::f32);
  const Tensor want = max_pool2d(x, {}).value();
  expect_near(max_pool2d(x.to(Device::cuda), {}).value(), want, 0);
}

}  // namespace
}  // namespace enas::test
