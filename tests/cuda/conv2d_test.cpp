// Convolutions on the device: gradients of weights whose pixels are parted, tiles of both shapes
// with ragged ends, gradients written and added, addresses as odd as a slice's.
#include "ops/conv2d.h"

#include <gtest/gtest.h>

#include "tests/cuda/compare.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

struct Sizes {
  Shape x;
  int64_t co;
  Window2d window;
};
constexpr Padding kSame = Padding::same, kTfSame = Padding::tf_same, kValid = Padding::valid;
// Over 512 pixels, so that they are parted; more than one tile each way; 32 channels and more.
const std::vector<Sizes> kSizes = {{{3, 15, 13, 5}, 33, {3, 1, kSame}},
                                   {{9, 17, 16, 3}, 7, {3, 2, kTfSame}},
                                   {{2, 20, 17, 20}, 70, {1, 1, kSame}},
                                   {{3, 19, 18, 4}, 32, {5, 1, kValid}},
                                   {{2, 6, 5, 34}, 40, {5, 2, kSame}}};

template <class F>
void each(F&& f) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Sizes& s : kSizes) {
      SCOPED_TRACE(testing::Message() << dtype << " " << s.x << " to " << s.co);
      const int64_t k = s.window.kernel;
      const Shape y{s.x[0], s.window.output(s.x[1]), s.window.output(s.x[2]), s.co};
      f(s.window, random_tensor(s.x, 1, dtype), random_tensor({k, k, s.x[3], s.co}, 2, dtype),
        random_tensor(y, 3, dtype));
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

double bound(DType dtype) { return 4 * rounding(dtype); }

TEST(CudaConv2d, Forward) {
  each([](const Window2d& window, const Tensor& x, const Tensor& w, const Tensor& dy) {
    Tensor want = empty_like(dy);
    cpu::conv2d_forward(x, w, window, want, nullptr);
    const Tensor image = at_offset(x, 1), weight = at_offset(w, 1);
    expect_same_each_run(want, bound(x.dtype()), [&] {
      Tensor got = at_offset(dy, 1);
      cuda::conv2d_forward(image, weight, window, got, nullptr);
      return got;
    });
  });
}

TEST(CudaConv2d, GradientOfTheImages) {
  each([](const Window2d& window, const Tensor& x, const Tensor& w, const Tensor& dy) {
    const Tensor up = dy.to(Device::cuda), weight = w.to(Device::cuda);
    for (const Into into : {Into::write, Into::add}) {
      Tensor want = x.clone();
      cpu::conv2d_backward_data(dy, w, window, want, into);
      expect_same_each_run(want, bound(x.dtype()), [&] {
        Tensor got = x.clone().to(Device::cuda);
        cuda::conv2d_backward_data(up, weight, window, got, into);
        return got;
      });
      if (testing::Test::HasFatalFailure()) return;
    }
  });
}

TEST(CudaConv2d, GradientOfTheWeights) {
  each([](const Window2d& window, const Tensor& x, const Tensor& w, const Tensor& dy) {
    const Tensor up = dy.to(Device::cuda), image = x.to(Device::cuda);
    for (const Into into : {Into::write, Into::add}) {
      Tensor want = w.clone();
      cpu::conv2d_backward_weight(x, dy, window, want, into);
      expect_same_each_run(want, bound(x.dtype()), [&] {
        Tensor got = w.clone().to(Device::cuda);
        cuda::conv2d_backward_weight(image, up, window, got, into);
        return got;
      });
      if (testing::Test::HasFatalFailure()) return;
    }
  });
}

TEST(CudaConv2d, NoImages) {
  const Tensor x({0, 4, 4, 3}, DType::f32, Device::cuda);
  Tensor y({0, 4, 4, 2}, DType::f32, Device::cuda), dx = x.clone();
  Tensor dw = Tensor::full({3, 3, 3, 2}, 5).to(Device::cuda);
  const Window2d window;
  cuda::conv2d_forward(x, dw, window, y, nullptr);
  cuda::conv2d_backward_data(y, dw, window, dx, Into::write);
  cuda::conv2d_backward_weight(x, y, window, dw, Into::write);
  EXPECT_EQ(dw.to_vector(), Values(54));
}

}  // namespace
}  // namespace enas::test
