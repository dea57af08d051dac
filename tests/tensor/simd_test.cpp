// The vector functions of tensor/simd.h, compiled for the baseline instruction set; the op cases
// run every other one.
#define ENAS_ISA_NAMESPACE isa_simd_test
#include "tensor/simd.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace enas::isa_simd_test {
namespace {

float first(Floats v) { return v[0]; }

// Error of a float in units of its last place (of the smallest normal, under it).
double ulps(float got, double want) {
  if (std::isinf(got)) return std::fabs(want) > 3.4028235e38 ? 0 : INFINITY;
  const double place = std::ldexp(1.0, std::max(std::ilogb(want == 0 ? 1e-45 : want), -126) - 23);
  return std::fabs(static_cast<double>(got) - want) / place;
}

template <class Vector, class Exact>
double worst(double low, double high, const Vector& f, const Exact& exact) {
  double most = 0;
  constexpr int kPoints = 200000;
  for (int i = 0; i <= kPoints; ++i) {
    const auto x = static_cast<float>(low + (high - low) * i / kPoints);
    most = std::max(most, ulps(first(f(splat(x))), exact(static_cast<double>(x))));
  }
  return most;
}

TEST(Simd, ExpWithinTwoPlaces) {
  const auto exact = [](double x) { return std::exp(x); };
  EXPECT_LT(worst(-103, 88.7, exp, exact), 2);
  EXPECT_LT(worst(-1, 1, exp, exact), 2);
  EXPECT_EQ(first(exp(splat(0.0f))), 1);
  EXPECT_EQ(first(exp(splat(-INFINITY))), 0);
  EXPECT_EQ(first(exp(splat(-200.0f))), 0);
  EXPECT_EQ(first(exp(splat(INFINITY))), INFINITY);
  EXPECT_EQ(first(exp(splat(100.0f))), INFINITY);
  EXPECT_TRUE(std::isnan(first(exp(splat(NAN)))));
}

TEST(Simd, SigmoidAndTanh) {
  EXPECT_LT(worst(-80, 80, sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }), 4);
  EXPECT_LT(worst(-12, 12, tanh, [](double x) { return std::tanh(x); }), 4);
  EXPECT_LT(worst(-0.7, 0.7, tanh, [](double x) { return std::tanh(x); }), 4);
  EXPECT_EQ(first(tanh(splat(INFINITY))), 1);
  EXPECT_EQ(first(tanh(splat(-INFINITY))), -1);
  EXPECT_EQ(first(sigmoid(splat(-INFINITY))), 0);
  EXPECT_TRUE(std::isnan(first(tanh(splat(NAN)))));
  EXPECT_TRUE(std::isnan(first(sigmoid(splat(NAN)))));
}

TEST(Simd, LoadsStoresAndReductions) {
  std::vector<float> values(2 * kWidth + 1);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i + 1);
  std::vector<float> out(values.size(), -1);
  store(out.data() + 1, load(values.data() + 1));  // unaligned
  EXPECT_EQ(out[1], 2);
  EXPECT_EQ(out[kWidth], kWidth + 1);
  EXPECT_EQ(out[kWidth + 1], -1);
  EXPECT_EQ(sum(load(values.data())), kWidth * (kWidth + 1) / 2);
  EXPECT_EQ(max_lane(load(values.data())), kWidth);
  const Floats tail = load_tail(values.data(), 3, -7);
  EXPECT_EQ(tail[2], 3);
  EXPECT_EQ(tail[3], -7);
  std::fill(out.begin(), out.end(), -1.0f);
  store_tail(out.data(), tail, 2);
  EXPECT_EQ(out[1], 2);
  EXPECT_EQ(out[2], -1);
  EXPECT_EQ(first(max(splat(NAN), splat(1.0f))), 1);
  EXPECT_EQ(first(min(splat(2.0f), splat(1.0f))), 1);
  EXPECT_FALSE(std::signbit(first(abs(splat(-0.0f)))));
}

}  // namespace
}  // namespace enas::isa_simd_test
