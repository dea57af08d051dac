#include "tensor/shape.h"

#include <gtest/gtest.h>

#include <sstream>

namespace enas {
namespace {

TEST(Shape, CountsAndPrints) {
  const Shape s{2, 3, 4};
  EXPECT_EQ(s.rank(), 3);
  EXPECT_EQ(s.numel(), 24);
  EXPECT_EQ(s.rows(), 6);
  EXPECT_EQ(s[0], 2);
  EXPECT_EQ(s[-1], 4);
  std::ostringstream text;
  text << s << Shape{};
  EXPECT_EQ(text.str(), "[2, 3, 4][]");
}

TEST(Shape, ScalarHasOneElement) {
  EXPECT_EQ(Shape{}.numel(), 1);
  EXPECT_EQ(Shape{}.rows(), 1);
}

TEST(Shape, EmptyExtents) {
  EXPECT_EQ((Shape{3, 0}).numel(), 0);
  EXPECT_EQ((Shape{3, 0}).rows(), 3);
  EXPECT_EQ((Shape{0, 3}).rows(), 0);
}

TEST(Shape, EqualityLooksAtRankAndExtents) {
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_FALSE((Shape{2, 3}) == (Shape{2, 3, 1}));
  EXPECT_FALSE((Shape{2, 3}) == (Shape{3, 2}));
}

TEST(Shape, RefusesWhatItCannotHold) {
  EXPECT_THROW((Shape{1, 1, 1, 1, 1, 1, 1}), Error);
  EXPECT_THROW((Shape{-1}), Error);
  EXPECT_THROW((Shape{2})[1], Error);
  EXPECT_THROW((Shape{2})[-2], Error);
  EXPECT_THROW(Shape{}[0], Error);
  Shape s{2};
  EXPECT_THROW(s.set(0, -1), Error);
  constexpr int64_t kHuge = int64_t{1} << 40;
  EXPECT_THROW((Shape{kHuge, kHuge}).numel(), Error);
  EXPECT_THROW((Shape{kHuge, kHuge >> 20}).numel(), Error);  // its bytes would wrap
}

}  // namespace
}  // namespace enas
