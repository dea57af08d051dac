// The row-wise kernels (cuda/rows.cuh) at every way a row can be laid out: a warp's or a block's,
// moves of 16 bytes or of one element, rows longer than the registers hold.
#include "ops/softmax.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/entropy.h"
#include "ops/log_softmax.h"
#include "tests/cuda/compare.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

// 4101: above the 8 elements a thread of moves of one element; 10260: above five moves of 16 bytes,
// in f32 and f64.
constexpr int64_t kColumns[] = {1, 31, 33, 128, 129, 132, 1000, 4101, 10260};
constexpr int64_t kRows = 3;

Tensor logits(int64_t rows, int64_t columns, DType dtype) {
  Tensor x = random_tensor({rows, columns}, 1, DType::f64);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<double>()[i] *= 4;
  return x.to(dtype);
}

template <class Test>
void for_each_row(Test test) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const int64_t columns : kColumns) {
      for (const int64_t offset : {0, 1}) {
        if (offset == 1 && columns != 132) continue;
        SCOPED_TRACE(testing::Message()
                     << dtype << ' ' << columns << " columns, offset " << offset);
        test(dtype, columns, offset, static_cast<double>(columns) * rounding(dtype) / 16);
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

// backward(dx, into) on the device against that of the CPU, written and added.
template <class Cpu, class Cuda>
void expect_gradient(const Shape& shape, DType dtype, int64_t offset, double near, Cpu on_cpu,
                     Cuda on_cuda) {
  for (const Into into : {Into::write, Into::add}) {
    const Tensor before = random_tensor(shape, 9, dtype);
    Tensor want = before.clone();
    on_cpu(want, into);
    expect_same_each_run(want, near, [&] {
      Tensor dx = at_offset(before, offset);
      on_cuda(dx, into);
      return dx;
    });
  }
}

TEST(CudaSoftmax, EveryLayout) {
  for_each_row([](DType dtype, int64_t columns, int64_t offset, double near) {
    const Tensor x = logits(kRows, columns, dtype), dy = random_tensor(x.shape(), 2, dtype);
    const Tensor there = at_offset(x, offset), dy_there = at_offset(dy, offset);
    Tensor y = empty_like(x), y_there = at_offset(x, offset);
    cpu::softmax_forward(x, y);
    expect_same_each_run(y, near, [&] {
      cuda::softmax_forward(there, y_there);
      return y_there;
    });
    expect_gradient(
        x.shape(), dtype, offset, near,
        [&](Tensor& dx, Into into) { cpu::softmax_backward(y, dy, dx, into); },
        [&](Tensor& dx, Into into) { cuda::softmax_backward(y_there, dy_there, dx, into); });
  });
}

TEST(CudaLogSoftmax, EveryLayout) {
  for_each_row([](DType dtype, int64_t columns, int64_t offset, double near) {
    const Tensor x = logits(kRows, columns, dtype), dy = random_tensor(x.shape(), 2, dtype);
    const Tensor there = at_offset(x, offset), dy_there = at_offset(dy, offset);
    Tensor y = empty_like(x), y_there = at_offset(x, offset);
    cpu::log_softmax_forward(x, y);
    expect_same_each_run(y, near, [&] {
      cuda::log_softmax_forward(there, y_there);
      return y_there;
    });
    expect_gradient(
        x.shape(), dtype, offset, near,
        [&](Tensor& dx, Into into) { cpu::log_softmax_backward(y, dy, dx, into); },
        [&](Tensor& dx, Into into) { cuda::log_softmax_backward(y_there, dy_there, dx, into); });
  });
}

TEST(CudaEntropy, EveryLayout) {
  for_each_row([](DType dtype, int64_t columns, int64_t offset, double near) {
    Tensor x = logits(kRows, columns, dtype);
    const Tensor dy = random_tensor({kRows}, 2, dtype), dy_there = dy.to(Device::cuda);
    const Tensor there = at_offset(x, offset);
    Tensor y({kRows}, dtype), kept({kRows, 3}, dtype);
    Tensor y_there = y.to(Device::cuda), kept_there = kept.to(Device::cuda);
    cpu::entropy_forward(x, y, kept);
    expect_same_each_run(y, near, [&] {
      cuda::entropy_forward(there, y_there, kept_there);
      return y_there;
    });
    expect_near(kept_there, kept, near);
    expect_gradient(
        x.shape(), dtype, offset, near,
        [&](Tensor& dx, Into into) { cpu::entropy_backward(x, kept, dy, dx, into); },
        [&](Tensor& dx, Into into) {
          cuda::entropy_backward(there, kept_there, dy_there, dx, into);
        });
  });
}

// A second row of warps that have no row, and more rows than one block holds.
TEST(CudaSoftmax, RowsOfWarps) {
  for (const int64_t rows : {1, 8, 21}) {
    const Tensor x = logits(rows, 10, DType::f32);
    Tensor y = empty_like(x), there = empty_like(x.to(Device::cuda));
    cpu::softmax_forward(x, y);
    cuda::softmax_forward(x.to(Device::cuda), there);
    expect_near(there, y, 1e-6);
  }
}

TEST(CudaSoftmax, ExtremesAndNan) {
  for (const int64_t columns : {5, 600}) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      Tensor x = Tensor::full({4, columns}, -1e4, dtype);
      std::vector<double> v = x.to_vector();
      const auto at = [&](int64_t r, int64_t c) -> double& {
        return v[static_cast<size_t>(r * columns + c)];
      };
      at(0, 0) = at(0, 2) = 1e4;
      at(1, columns - 1) = NAN;
      at(2, 1) = INFINITY;
      for (int64_t c = 0; c < columns; ++c) at(3, c) = c == 3 ? 7.0 : -INFINITY;
      const Tensor there = Tensor::from(v, x.shape(), dtype).to(Device::cuda);
      Tensor y = empty_like(there);
      cuda::softmax_forward(there, y);
      EXPECT_EQ(y.item(0), 0.5);
      EXPECT_EQ(y.item(1), 0);
      for (int64_t i = columns; i < 3 * columns; ++i) ASSERT_TRUE(std::isnan(y.item(i))) << i;
      for (int64_t c = 0; c < columns; ++c) ASSERT_EQ(y.item(3 * columns + c), c == 3 ? 1 : 0);
      cuda::log_softmax_forward(there, y);
      EXPECT_NEAR(y.item(0), -std::log(2.0), 1e-6);
      EXPECT_TRUE(std::isnan(y.item(columns)));
      EXPECT_EQ(y.item(3 * columns), -INFINITY);
      EXPECT_EQ(y.item(3 * columns + 3), 0);
    }
  }
}

TEST(CudaEntropy, MaskedLogitsAddNothing) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor x = Tensor::from({0, -INFINITY, 1}, {1, 3}, dtype),
                 dy = Tensor::full({1}, 1, dtype);
    Tensor y({1}, dtype), kept({1, 3}, dtype), dx = empty_like(x);
    cpu::entropy_forward(x, y, kept);
    cpu::entropy_backward(x, kept, dy, dx, Into::write);
    Tensor y_there = y.to(Device::cuda), kept_there = kept.to(Device::cuda);
    Tensor dx_there = dx.to(Device::cuda);
    cuda::entropy_forward(x.to(Device::cuda), y_there, kept_there);
    cuda::entropy_backward(x.to(Device::cuda), kept_there, dy.to(Device::cuda), dx_there,
                           Into::write);
    expect_near(y_there, y, rounding(dtype));
    expect_near(dx_there, dx, rounding(dtype));
    EXPECT_EQ(dx_there.item(1), 0);
  }
}

TEST(CudaSoftmax, Empty) {
  const Tensor none({0, 4}, DType::f32, Device::cuda), narrow({2, 0}, DType::f32, Device::cuda);
  EXPECT_EQ(softmax(none).numel() + log_softmax(none).numel() + entropy(none).numel(), 0);
  EXPECT_EQ(softmax(narrow).numel() + log_softmax(narrow).numel(), 0);
  EXPECT_EQ(entropy(narrow).value().to_vector(), (Values{0, 0}));
}

}  // namespace
}  // namespace enas::test
