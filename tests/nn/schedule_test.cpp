#include "nn/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "tensor/check.h"

namespace enas {
namespace {

// The recipe of the baseline program: 20, then divided by 1.8 from the fourth epoch on.
TEST(Schedule, ExponentialStartsAtItsEpoch) {
  const ExponentialRate rate{.lr = 20, .factor = 1 / 1.8, .from = 4};
  for (int64_t epoch = 0; epoch < 4; ++epoch) EXPECT_EQ(rate.at(epoch), 20);
  for (int64_t epoch = 4; epoch < 20; ++epoch) {
    EXPECT_NEAR(rate.at(epoch), 20 / std::pow(1.8, static_cast<double>(epoch - 3)), 1e-12);
  }
}

TEST(Schedule, ExponentialKeepsItsFloor) {
  const ExponentialRate rate{.lr = 0.25, .factor = 0.95, .from = 13, .floor = 0.0005};
  EXPECT_NEAR(rate.at(13), 0.2375, 1e-15);
  EXPECT_EQ(rate.at(1000), 0.0005);
}

TEST(Schedule, CosineRestartsDouble) {
  const CosineRate rate{.lr_max = 0.05, .lr_min = 0.0005};
  std::set<int64_t> restarts;
  for (int64_t epoch = 1; epoch < 700; ++epoch) {
    if (rate.period(static_cast<double>(epoch)).begin == epoch) restarts.insert(epoch);
  }
  EXPECT_EQ(restarts, (std::set<int64_t>{10, 30, 70, 150, 310, 630}));
  for (const int64_t epoch : restarts) {
    EXPECT_DOUBLE_EQ(rate.at(static_cast<double>(epoch)), 0.05);
    EXPECT_LT(rate.at(static_cast<double>(epoch - 1)), 0.003);
  }
}

TEST(Schedule, CosineClosedForm) {
  const CosineRate rate{.lr_max = 1, .lr_min = 0.2, .first = 8, .multiply = 3};
  EXPECT_DOUBLE_EQ(rate.at(0), 1);
  EXPECT_NEAR(rate.at(2), 0.2 + 0.4 * (1 + std::sqrt(0.5)), 1e-14);
  EXPECT_NEAR(rate.at(4), 0.6, 1e-14);
  EXPECT_NEAR(rate.at(8 + 6), 0.2 + 0.4 * (1 + std::sqrt(0.5)), 1e-14);  // a quarter of 24
  EXPECT_NEAR(rate.at(8 + 12.0), 0.6, 1e-14);
  EXPECT_NEAR(rate.at(7.9999999), 0.2, 1e-12);
  const CosineRate same{.lr_max = 1, .lr_min = 0, .first = 5, .multiply = 1};
  EXPECT_DOUBLE_EQ(same.at(1005), 1);
  EXPECT_THROW((CosineRate{.lr_max = 1, .lr_min = 0, .first = 0}.at(1)), Error);
}

// Parity switch stale-lr.
TEST(Schedule, ARestartMayComeOneStepLate) {
  const CosineRate rate{.lr_max = 0.05, .lr_min = 0.0005};
  for (const int64_t epoch : {0, 1, 9, 11, 29, 31})
    EXPECT_EQ(rate.first_step(epoch), rate.at(static_cast<double>(epoch)));
  EXPECT_EQ(rate.first_step(10), rate.at(9));
  EXPECT_EQ(rate.first_step(30), rate.at(29));
}

}  // namespace
}  // namespace enas
