#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <cmath>

namespace enas {
namespace {

TEST(Tensor, HandlesShareValues) {
  Tensor a = Tensor::from({1, 2, 3, 4}, {2, 2});
  const Tensor b = a;
  EXPECT_TRUE(a.same_storage(b));
  EXPECT_FALSE(a.unique());
  a.data<float>()[1] = 9;
  EXPECT_EQ(b.item(1), 9);
  const Tensor c = a.clone();
  a.fill(0);
  EXPECT_EQ(c.to_vector(), (std::vector<double>{1, 9, 3, 4}));
}

TEST(Tensor, MoveLeavesNothingAndAssignmentReleases) {
  Tensor a = Tensor::full({3}, 2);
  Tensor b = std::move(a);
  EXPECT_FALSE(a.defined());  // NOLINT: that is the test
  EXPECT_TRUE(b.unique());
  const Tensor c = b;
  b = Tensor();
  EXPECT_FALSE(b.defined());
  EXPECT_TRUE(c.unique());
  Tensor d = c;
  d = *&d;
  EXPECT_EQ(d.item(2), 2);
}

TEST(Tensor, ViewsAreReshapeAndLeadingSlice) {
  Tensor a = Tensor::from({0, 1, 2, 3, 4, 5}, {3, 2});
  Tensor middle = a.slice(1, 2);
  EXPECT_EQ(middle.shape(), (Shape{1, 2}));
  EXPECT_EQ(middle.to_vector(), (std::vector<double>{2, 3}));
  middle.fill(7);
  EXPECT_EQ(a.to_vector(), (std::vector<double>{0, 1, 7, 7, 4, 5}));
  EXPECT_EQ(a.slice(1, 3).slice(1, 2).item(0), 4);
  EXPECT_EQ(a.slice(2, 2).numel(), 0);
  EXPECT_EQ(a.reshape({6}).item(5), 5);
  EXPECT_TRUE(a.reshape({2, 3}).same_storage(a));
  EXPECT_THROW(a.reshape({4}), Error);
  EXPECT_THROW(a.slice(2, 4), Error);
  EXPECT_THROW(a.slice(2, 1), Error);
  EXPECT_THROW(Tensor::full({}, 1).slice(0, 1), Error);
}

TEST(Tensor, ViewKeepsTheStorageAlive) {
  Tensor row;
  {
    const Tensor a = Tensor::from({1, 2, 3, 4}, {2, 2});
    row = a.slice(1, 2);
  }
  EXPECT_EQ(row.to_vector(), (std::vector<double>{3, 4}));
}

TEST(Tensor, ConvertsBetweenTypes) {
  const std::vector<double> values = {0, 1, -2, 0.5, 65504};
  const Tensor a = Tensor::from(values, {5}, DType::f64);
  for (const DType dtype : {DType::f32, DType::f16, DType::f64}) {
    EXPECT_EQ(a.to(dtype).dtype(), dtype);
    EXPECT_EQ(a.to(dtype).to_vector(), values);
  }
  EXPECT_EQ(a.to(DType::bf16).item(4), 65536);  // 8 bits of mantissa
  EXPECT_EQ(Tensor::from({3, 255}, {2}, DType::u8).to_vector(), (std::vector<double>{3, 255}));
  EXPECT_EQ(Tensor::from_indices({-1, 7}, {2}).to_vector(), (std::vector<double>{-1, 7}));
  EXPECT_TRUE(a.to(DType::f64).same_storage(a));
}

TEST(Tensor, RefusesWrongUse) {
  Tensor a({2}, DType::f32);
  EXPECT_THROW(a.data<double>(), Error);
  EXPECT_THROW(Tensor().data<float>(), Error);
  EXPECT_THROW(Tensor::from({1, 2, 3}, {2}), Error);
  EXPECT_THROW(a.item(2), Error);
  EXPECT_THROW(a.copy_from(Tensor({2}, DType::f64)), Error);
  EXPECT_THROW(Tensor().fill(1), Error);
  EXPECT_THROW(Tensor().clone(), Error);
  EXPECT_THROW(Tensor().item(), Error);
  EXPECT_THROW(Tensor().to_vector(), Error);
  EXPECT_THROW(Tensor().to(DType::f64), Error);
  EXPECT_THROW(Tensor({1}, DType::f32, Device::cuda), Error);
}

TEST(Tensor, EmptyTensorsAreDefined) {
  const Tensor a = Tensor::zeros({0, 4});
  EXPECT_TRUE(a.defined());
  EXPECT_TRUE(a.clone().to_vector().empty());
}

TEST(Tensor, FillKeepsTheSignOfZeroAndNan) {
  Tensor a({2});
  a.fill(-0.0);
  EXPECT_TRUE(std::signbit(a.item(0)));
  a.fill(NAN);
  EXPECT_TRUE(std::isnan(a.item(1)));
}

}  // namespace
}  // namespace enas
