#include "nas/correlate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "tensor/check.h"

namespace enas {
namespace {

const std::vector<double> kRising = {1, 2, 3, 4, 5};

TEST(Correlate, PerfectAndReversedOrder) {
  const std::vector<double> squares = {1, 4, 9, 16, 25}, falling = {5, 4, 3, 2, 1};
  EXPECT_DOUBLE_EQ(kendall_tau(kRising, squares), 1);
  EXPECT_DOUBLE_EQ(spearman_rho(kRising, squares), 1);
  EXPECT_DOUBLE_EQ(kendall_tau(kRising, falling), -1);
  EXPECT_DOUBLE_EQ(spearman_rho(kRising, falling), -1);
}

// By hand: 8 of 10 pairs agree; rank differences 0 1 1 1 1, rho = 1 - 6 * 4 / (5 * 24).
TEST(Correlate, HandComputed) {
  const std::vector<double> y = {10, 30, 20, 50, 40};
  EXPECT_DOUBLE_EQ(kendall_tau(kRising, y), 0.6);
  EXPECT_DOUBLE_EQ(spearman_rho(kRising, y), 0.8);
}

// x has one tied pair: 10 pairs, 9 untied in x; y orders them 8 : 1.
TEST(Correlate, TiesCountInTheDenominatorOnly) {
  const std::vector<double> x = {1, 2, 2, 3, 4}, y = {1, 2, 3, 5, 4};
  EXPECT_DOUBLE_EQ(kendall_tau(x, y), 7 / std::sqrt(9.0 * 10.0));
  const std::vector<double> ranks = {1, 2.5, 2.5, 4, 5}, other = {1, 2, 3, 5, 4};
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < 5; ++i) {
    ab += (ranks[i] - 3) * (other[i] - 3);
    aa += (ranks[i] - 3) * (ranks[i] - 3);
    bb += (other[i] - 3) * (other[i] - 3);
  }
  EXPECT_DOUBLE_EQ(spearman_rho(x, y), ab / std::sqrt(aa * bb));
}

TEST(Correlate, ConstantListsHaveNone) {
  const std::vector<double> constant(5, 2.0);
  EXPECT_TRUE(std::isnan(kendall_tau(constant, kRising)));
  EXPECT_TRUE(std::isnan(spearman_rho(kRising, constant)));
  EXPECT_TRUE(std::isnan(kendall_interval(constant, kRising, 1).low));
  EXPECT_THROW(kendall_tau(constant, std::vector<double>{1}), Error);
}

TEST(Correlate, IntervalHoldsTheEstimateAndNarrowsWithMorePairs) {
  const auto lists = [](size_t n) {
    std::vector<double> x, y;
    for (size_t i = 0; i < n; ++i) {
      x.push_back(static_cast<double>(i));
      y.push_back(static_cast<double>(i) + 8 * std::sin(7.0 * static_cast<double>(i)));
    }
    return std::pair(x, y);
  };
  const auto [x, y] = lists(20);
  const auto [long_x, long_y] = lists(80);
  const double tau = kendall_tau(x, y);
  const Interval95 few = kendall_interval(x, y, 1), many = kendall_interval(long_x, long_y, 1);
  EXPECT_LT(few.low, tau);
  EXPECT_GT(few.high, tau);
  EXPECT_LT(many.high - many.low, few.high - few.low);
  const Interval95 again = kendall_interval(x, y, 1), other = kendall_interval(x, y, 2);
  EXPECT_EQ(again.low, few.low);
  EXPECT_TRUE(other.low != few.low || other.high != few.high);
}

// The ends are the 2.5 % and 97.5 % points of resampled taus, here with another generator.
TEST(Correlate, IntervalHoldsNinetyFivePercentOfTheResamples) {
  std::vector<double> x, y;
  for (int i = 0; i < 40; ++i) {
    x.push_back(i);
    y.push_back(i + 15 * std::sin(7.0 * i));
  }
  std::mt19937 generator(5);
  std::vector<double> taus;
  for (int r = 0; r < 2000; ++r) {
    std::vector<double> a, b;
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t pick = generator() % x.size();
      a.push_back(x[pick]);
      b.push_back(y[pick]);
    }
    taus.push_back(kendall_tau(a, b));
  }
  std::sort(taus.begin(), taus.end());
  const Interval95 got = kendall_interval(x, y, 1);
  const double width = taus[1949] - taus[50];
  EXPECT_NEAR(got.low, taus[50], 0.1 * width);
  EXPECT_NEAR(got.high, taus[1949], 0.1 * width);
}

}  // namespace
}  // namespace enas
