#include "ops/factorized_reduction.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/op_cases.h"

namespace enas::test {
namespace {

Values reference(const Shape& x, int64_t c1, int64_t c2, bool relu, const std::vector<Values>& in) {
  Values y;
  for (int64_t n = 0; n < x[0]; ++n)
    for (int64_t i = 0; i < (x[1] + 1) / 2; ++i)
      for (int64_t j = 0; j < (x[2] + 1) / 2; ++j)
        for (int64_t o = 0; o < c1 + c2; ++o) {
          const bool second = o >= c1;
          const int64_t row = 2 * i + second, column = 2 * j + second;
          double total = 0;
          for (int64_t c = 0; c < x[3] && row < x[1] && column < x[2]; ++c) {
            const double v =
                in[0][static_cast<size_t>(((n * x[1] + row) * x[2] + column) * x[3] + c)];
            const double w = second ? in[2][static_cast<size_t>(c * c2 + o - c1)]
                                    : in[1][static_cast<size_t>(c * c1 + o)];
            total += (relu ? std::max(v, 0.0) : v) * w;
          }
          y.push_back(total);
        }
  return y;
}

// Outputs y, mean, variance.
OpCase row(const char* label, const Shape& x, int64_t c1, int64_t c2, bool relu) {
  OpCase c;
  c.label = std::string(label) + (relu ? "_relu" : "");
  c.inputs = {in(x), in({x[3], c1}), in({x[3], c2})};
  c.op = [relu](Tape&, const std::vector<Var>& v) {
    const RawConv r = factorized_reduction(v[0], v[1], v[2], relu, true);
    return std::vector<Var>{r.y, r.stats.mean, r.stats.variance};
  };
  c.reference = [=](const std::vector<Values>& in) {
    const Values y = reference(x, c1, c2, relu, in);
    const auto channels = static_cast<size_t>(c1 + c2);
    const double share = static_cast<double>(channels) / static_cast<double>(y.size());
    Values mean(channels), variance(channels);
    for (size_t i = 0; i < y.size(); ++i) mean[i % channels] += y[i] * share;
    for (size_t i = 0; i < y.size(); ++i) {
      variance[i % channels] += std::pow(y[i] - mean[i % channels], 2) * share;
    }
    return std::vector<Values>{y, mean, variance};
  };
  const int64_t pixels = x[0] * ((x[1] + 1) / 2) * ((x[2] + 1) / 2);
  c.sum_length = std::max(x[3], pixels);
  c.flops = static_cast<double>(2 * pixels * x[3] * (c1 + c2));
  c.bytes = static_cast<double>(x.numel() + pixels * (c1 + c2)) * 4;
  // Statistics are no part of the gradient here: differences must not see them.
  c.gradient = false;
  return c;
}
OpCase without_stats(OpCase c, bool relu) {
  c.gradient = true;
  c.op = [relu](Tape&, const std::vector<Var>& v) {
    return std::vector<Var>{factorized_reduction(v[0], v[1], v[2], relu, false).y};
  };
  const Reference all = c.reference;
  c.reference = [all](const std::vector<Values>& in) { return std::vector<Values>{all(in)[0]}; };
  c.label += "_plain";
  if (relu) {
    c.check.step = 1e-5;  // bilinear on both sides of the kink
    c.kink_margin = [](const std::vector<Values>& in) {
      double least = 1;
      for (const double v : in[0]) least = std::min(least, std::fabs(v));
      return least;
    };
  }
  return c;
}
OpCase timed(OpCase c) {
  c.bench = true, c.draws = 1, c.check.most_elements = 3, c.kink_margin = nullptr;
  return c;
}

OpCase both(const char* label, const Shape& x, int64_t c1, int64_t c2, bool relu) {
  return without_stats(row(label, x, c1, c2, relu), relu);
}

OP_CASES(factorized_reduction, row("2x7x5x5_to_5", {2, 7, 5, 5}, 2, 3, true),
         row("2x8x6x17_to_10", {2, 8, 6, 17}, 5, 5, false),
         row("1x3x3x20_to_40", {1, 3, 3, 20}, 20, 20, true),
         both("2x7x5x5_to_5", {2, 7, 5, 5}, 2, 3, true),
         both("2x7x5x5_to_5", {2, 7, 5, 5}, 2, 3, false),
         both("2x8x6x17_to_10", {2, 8, 6, 17}, 5, 5, false),
         both("1x4x7x17_to_34", {1, 4, 7, 17}, 17, 17, true),
         both("1x3x3x20_to_40", {1, 3, 3, 20}, 20, 20, true),
         both("3x1x1x4_to_6", {3, 1, 1, 4}, 3, 3, false),
         both("1x6x6x8_to_72", {1, 6, 6, 8}, 36, 36, false),
         timed(both("64x32x32x36_to_36", {64, 32, 32, 36}, 18, 18, false)),
         timed(both("64x32x32x100_to_40", {64, 32, 32, 100}, 20, 20, true)),
         timed(both("64x16x16x200_to_80", {64, 16, 16, 200}, 40, 40, true)));

TEST(FactorizedReduction, ShapesAreChecked) {
  const Tensor x = Tensor::zeros({1, 4, 4, 5}), w = Tensor::zeros({5, 3});
  EXPECT_THROW(factorized_reduction(Tensor::zeros({4, 4, 5}), w, w, false, false), Error);
  EXPECT_THROW(factorized_reduction(x, Tensor::zeros({4, 3}), w, false, false), Error);
  EXPECT_THROW(factorized_reduction(x, w, Tensor::zeros({5, 3}, DType::f64), false, false), Error);
  const RawConv r = factorized_reduction(x, w, w, false, false);
  EXPECT_FALSE(r.stats.mean.defined());
  EXPECT_EQ(r.stats.count, 4);
}

TEST(FactorizedReduction, ANanInTheImageReachesItsPathOnly) {
  Values x(16, 1.0);
  x[0] = NAN;
  const Tensor images = Tensor::from(x, {1, 4, 4, 1}), w = Tensor::full({1, 1}, 1);
  const Values y = factorized_reduction(images, w, w, true, false).y.value().to_vector();
  for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isnan(y[i]), i == 0) << i;
}

}  // namespace
}  // namespace enas::test
