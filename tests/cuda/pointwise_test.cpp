// Kernels of cuda/elementwise.cuh and ops/pointwise.h at sizes and addresses that the op cases do
// not reach: odd offsets, tails, more rows or columns than one sweep of blocks.
#include <gtest/gtest.h>

#include "ops/pointwise.h"
#include "ops/pointwise_functors.h"
#include "tests/cuda/compare.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

constexpr Unary kUnary[] = {Unary::neg,    Unary::exp,        Unary::tanh, Unary::sigmoid,
                            Unary::square, Unary::add_scalar, Unary::scale};

// Values in [0.5, 1.5): every function is smooth there.
Tensor values(const Shape& shape, uint64_t step, DType dtype) {
  Tensor x = add_scalar(scale(random_tensor(shape, step, DType::f64), 0.5), 1).value();
  return x.to(dtype);
}

// f(dtype, n, offset): whole and broken packs, aligned or not.
template <class F>
void each_size(F f) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const int64_t n : {1, 4, 7, 1030}) {
      for (const int64_t offset : {0, 1, 4}) {
        SCOPED_TRACE(testing::Message() << dtype << ' ' << n << " at " << offset);
        f(dtype, n, offset);
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

TEST(CudaPointwise, UnaryAtAnyAddress) {
  each_size([](DType dtype, int64_t n, int64_t offset) {
    const Tensor x = values({n}, 1, dtype), dy = values({n}, 2, dtype);
    const Tensor x_there = at_offset(x, offset), dy_there = at_offset(dy, offset);
    for (const Unary op : kUnary) {
      Tensor y = empty_like(x), dx = values({n}, 3, dtype);
      Tensor y_there = at_offset(y, offset), dx_there = at_offset(dx, offset);
      cpu::unary_forward(op, 1.75, x, y);
      cuda::unary_forward(op, 1.75, x_there, y_there);
      expect_near(y_there, y, rounding(dtype));
      for (const Into into : {Into::add, Into::write}) {
        cpu::unary_backward(op, 1.75, x, dy, dx, into);
        cuda::unary_backward(op, 1.75, x_there, dy_there, dx_there, into);
        expect_near(dx_there, dx, rounding(dtype));
      }
    }
  });
}

TEST(CudaPointwise, BinaryWithOperandsAtDifferentAddresses) {
  each_size([](DType dtype, int64_t n, int64_t offset) {
    const Tensor a = values({n}, 1, dtype), b = values({n}, 2, dtype), dy = values({n}, 3, dtype);
    const Tensor a_there = at_offset(a, 0), b_there = at_offset(b, offset);
    const Tensor dy_there = at_offset(dy, 0);
    for (const Binary op : {Binary::add, Binary::sub, Binary::mul, Binary::div}) {
      Tensor y = empty_like(a), da = values({n}, 4, dtype), db = values({n}, 5, dtype);
      Tensor y_there = at_offset(y, 0), da_there = at_offset(da, 0), db_there = at_offset(db, 0);
      cpu::binary_forward(op, a, b, y);
      cuda::binary_forward(op, a_there, b_there, y_there);
      expect_near(y_there, y, rounding(dtype));
      cpu::binary_backward_a(op, b, dy, da, Into::add);
      cuda::binary_backward_a(op, b_there, dy_there, da_there, Into::add);
      expect_near(da_there, da, rounding(dtype));
      cpu::binary_backward_b(op, a, b, dy, db, Into::add);
      cuda::binary_backward_b(op, a_there, b_there, dy_there, db_there, Into::add);
      expect_near(db_there, db, rounding(dtype));
    }
  });
}

TEST(CudaPointwise, NanAndInfinityPass) {
  const Tensor x = Tensor::from({NAN, INFINITY, -INFINITY, -0.0, 2}, {5}).to(Device::cuda);
  EXPECT_TRUE(std::isnan(relu(x).value().item(0)));
  EXPECT_EQ(relu(x).value().item(1), INFINITY);
  EXPECT_EQ(relu(x).value().item(2), 0);
  EXPECT_TRUE(std::isnan(tanh(x).value().item(0)));
  EXPECT_EQ(sigmoid(x).value().item(1), 1);
  EXPECT_EQ(sigmoid(x).value().item(2), 0);
  EXPECT_EQ(log(x).value().item(3), -INFINITY);
  EXPECT_TRUE(std::isnan(log(x).value().item(2)));
  EXPECT_EQ(exp(x).value().item(2), 0);
}

// Rows of whole packs and broken ones; more rows than blocks along y.
TEST(CudaPointwise, AddRowAtAnyShape) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Shape& shape : {Shape{3, 8}, Shape{2, 1032}, Shape{5, 7}, Shape{2060, 1},
                               Shape{2060, 4}, Shape{0, 4}, Shape{4, 0}, Shape{2, 3, 4}}) {
      for (const int64_t offset : {0, 1}) {
        SCOPED_TRACE(testing::Message() << dtype << ' ' << shape << " at " << offset);
        const Tensor x = values(shape, 1, dtype), row = values({shape[-1]}, 2, dtype);
        Tensor y = empty_like(x), there = at_offset(y, 0);
        cpu::add_row_forward(x, row, y);
        cuda::add_row_forward(at_offset(x, offset), at_offset(row, 0), there);
        expect_near(there, y, 0);
        cuda::add_row_forward(at_offset(x, 0), at_offset(row, offset), there);
        expect_near(there, y, 0);
      }
    }
  }
}

// One chunk of rows, several, and none; columns beside a block's 32.
TEST(CudaPointwise, ColumnSumsAtAnyShape) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Shape& shape :
         {Shape{1, 1}, Shape{9, 33}, Shape{64, 32}, Shape{1000, 3}, Shape{65, 40}, Shape{130, 257},
          Shape{3, 4128}, Shape{0, 5}, Shape{5, 0}, Shape{2, 3, 4}}) {
      const Tensor dy = values(shape, 1, dtype), before = values({shape[-1]}, 2, dtype);
      for (const Into into : {Into::write, Into::add}) {
        SCOPED_TRACE(testing::Message() << dtype << ' ' << shape);
        Tensor sums = before.clone();
        cpu::column_sums(dy, sums, into);
        const Tensor there = at_offset(dy, 1);
        expect_same_each_run(sums, 8 * rounding(dtype), [&] {
          Tensor got = before.to(Device::cuda);
          cuda::column_sums(there, got, into);
          return got;
        });
        if (HasFatalFailure()) return;
      }
    }
  }
}

// Launches of one op follow each other: a counter left behind would spoil the second.
TEST(CudaPointwise, ColumnSumsTwice) {
  const Tensor dy = values({300, 5}, 1, DType::f64);
  Tensor once = Tensor::zeros({5}, DType::f64), there = once.to(Device::cuda);
  cpu::column_sums(dy, once, Into::add);
  cpu::column_sums(dy, once, Into::add);
  const Tensor dy_there = dy.to(Device::cuda);
  cuda::column_sums(dy_there, there, Into::add);
  cuda::column_sums(dy_there, there, Into::add);
  expect_near(there, once, 1e-13);
}

}  // namespace
}  // namespace enas::test
