#include "ops/global_avg_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/op_cases.h"

namespace enas::test {
namespace {

OpCase row(const char* label, const Shape& x, bool relu) {
  OpCase c;
  c.label = std::string(label) + (relu ? "_relu" : "");
  c.inputs = {in(x)};
  c.op = [relu](Tape&, const std::vector<Var>& v) {
    return std::vector<Var>{global_avg_pool(v[0], relu)};
  };
  c.reference = [x, relu](const std::vector<Values>& in) {
    const auto channels = static_cast<size_t>(x[3]), pixels = static_cast<size_t>(x[1] * x[2]);
    Values y(static_cast<size_t>(x[0]) * channels);
    for (size_t i = 0; i < in[0].size(); ++i) {
      const double v = relu ? std::max(in[0][i], 0.0) : in[0][i];
      y[i / (pixels * channels) * channels + i % channels] += v / static_cast<double>(pixels);
    }
    return std::vector<Values>{y};
  };
  c.sum_length = x[1] * x[2];
  c.bytes = static_cast<double>(x.numel()) * 4;
  if (relu) {
    c.check.step = 1e-5;  // linear on both sides of the kink
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

OP_CASES(global_avg_pool, row("2x7x5x5", {2, 7, 5, 5}, false), row("2x7x5x5", {2, 7, 5, 5}, true),
         row("3x1x1x17", {3, 1, 1, 17}, true), row("1x8x8x20", {1, 8, 8, 20}, true),
         row("1x8x8x33", {1, 8, 8, 33}, false), timed(row("64x8x8x80", {64, 8, 8, 80}, true)),
         timed(row("64x8x8x36", {64, 8, 8, 36}, false)));

TEST(GlobalAvgPool, TheSlopeAtZeroIsZeroAndNanStays) {
  Tape tape;
  const Var x = tape.variable(Tensor::from({0, NAN, 1, -1}, {1, 2, 1, 2}));
  const Var y = global_avg_pool(x, true);
  EXPECT_EQ(y.value().item(0), 0.5);
  EXPECT_TRUE(std::isnan(y.value().item(1)));
  tape.backward(y);
  EXPECT_EQ(tape.gradient(x).to_vector(), (Values{0, 0.5, 0.5, 0}));
}

TEST(GlobalAvgPool, ShapesAreChecked) {
  EXPECT_THROW(global_avg_pool(Tensor::zeros({2, 3})), Error);
  EXPECT_THROW(global_avg_pool(Tensor::zeros({2, 0, 3, 4})), Error);
  EXPECT_EQ(global_avg_pool(Tensor::zeros({0, 3, 3, 4})).numel(), 0);
}

}  // namespace
}  // namespace enas::test
