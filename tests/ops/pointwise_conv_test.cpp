#include "ops/pointwise_conv.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "ops/conv2d.h"
#include "tests/op_cases.h"
#include "tests/ops/conv_reference.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

struct Options {
  bool relu = false, stats = false,
       repeat = false;  // repeat: the first source once more, at the end
};

// One row: images [n, h, w] with the channels of each source, co output channels.
OpCase row(const Shape& images, const std::vector<int64_t>& channels, int64_t co, Options o = {}) {
  OpCase c;
  const int64_t rows = images.numel();
  for (int i = 0; i < 3; ++i) c.label += std::to_string(images[i]) + "x";
  std::vector<int64_t> widths = channels;
  if (o.repeat) widths.push_back(channels[0]);
  int64_t most = co, total = 0;
  for (const int64_t width : widths) {
    c.label += std::to_string(width) + "_";
    most = std::max(most, width), total += width;
  }
  c.label += "to" + std::to_string(co) + (o.relu ? "_relu" : "") + (o.stats ? "_stats" : "");
  for (const int64_t width : channels)
    c.inputs.push_back(in({images[0], images[1], images[2], width}));
  for (const int64_t width : widths) c.inputs.push_back(in({width, co}));
  const size_t sources = channels.size();
  c.op = [=](Tape&, const std::vector<Var>& v) {
    std::vector<Var> x(v.begin(), v.begin() + static_cast<int64_t>(sources));
    if (o.repeat) x.push_back(x[0]);
    const std::vector<Var> w(v.begin() + static_cast<int64_t>(sources), v.end());
    const RawConv out = pointwise_conv(x, w, o.relu, o.stats);
    return o.stats ? std::vector<Var>{out.y, out.stats.mean, out.stats.variance}
                   : std::vector<Var>{out.y};
  };
  c.reference = [=](const std::vector<Values>& v) {
    Values y(static_cast<size_t>(rows * co));
    for (size_t s = 0; s < widths.size(); ++s) {
      const Values &x = v[s % sources], &w = v[sources + s];
      for (int64_t i = 0; i < rows * widths[s] * co; ++i) {
        const int64_t r = i / co / widths[s], a = i / co % widths[s], b = i % co;
        const double value = x[static_cast<size_t>(r * widths[s] + a)];
        y[static_cast<size_t>(r * co + b)] +=
            (o.relu ? std::max(value, 0.0) : value) * w[static_cast<size_t>(a * co + b)];
      }
    }
    return o.stats ? with_moments(y, co) : std::vector<Values>{y};
  };
  if (o.relu) {
    c.kink_margin = [sources](const std::vector<Values>& v) {
      double least = 1;
      for (size_t s = 0; s < sources; ++s)
        for (const double x : v[s]) least = std::min(least, std::fabs(x));
      return least;
    };
    c.check.step = 1e-5, c.check.relative = 1e-6;
  }
  c.sum_length = std::max({total, co, rows});
  c.gradient = !o.stats;
  c.f32_bound = o.stats ? F32Bound::tensor : F32Bound::sums;
  const auto macs = static_cast<double>(rows * total * co);
  if (macs > 5e4) c.check.most_elements = 8;  // of each input in each draw
  if (macs > 2e5) c.draws = 1;
  c.flops = 2 * macs;
  c.bytes = 4 * static_cast<double>(rows * (total + co));
  return c;
}
OpCase timed(OpCase c) {
  c.bench = true, c.draws = 1, c.check.most_elements = 1;
  c.kink_margin = nullptr;
  return c;
}

OP_CASES(pointwise_conv, row({2, 7, 5}, {5}, 17), row({1, 3, 5}, {17}, 5, {.relu = true}),
         row({2, 7, 5}, {20, 5, 20}, 36),
         row({1, 7, 5}, {10, 3}, 10, {.relu = true, .repeat = true}),
         row({1, 3, 3}, {4}, 4, {.repeat = true}), row({1, 1, 1}, {1}, 1), row({3, 9, 7}, {72}, 40),
         row({1, 5, 3}, {144}, 80), row({2, 3, 5}, {80, 80, 40}, 144),
         row({2, 7, 5}, {36}, 20, {.relu = true, .stats = true}),
         row({3, 11, 7}, {5, 17}, 10, {.stats = true}),
         row({1, 4, 8}, {36, 36}, 72, {.relu = true}), timed(row({16, 32, 32}, {36}, 36)),
         timed(row({16, 16, 16}, {72}, 72)), timed(row({16, 8, 8}, {144}, 144)),
         timed(row({16, 32, 32}, {20}, 20)),
         timed(row({16, 32, 32}, {36}, 36, {.relu = true, .stats = true})),
         timed(row({16, 32, 32}, {20, 20, 20, 20}, 20, {.relu = true})));

// Every count of columns and rows that a kernel's tile can leave over, against f64.
TEST(PointwiseConv, EveryRemainder) {
  for (const int64_t co : {1, 2, 3, 7, 8, 9, 15, 16, 17, 20, 24, 31, 33, 47, 48, 49, 63, 65}) {
    for (const int64_t rows : {1, 2, 5, 7, 11, 13, 64, 67}) {
      const Tensor x = random_tensor({1, 1, rows, 6}, 1), w = random_tensor({6, co}, 2);
      const Values want = pointwise_conv(x, w, true, false).y.value().to_vector();
      const Values got =
          pointwise_conv(x.to(DType::f32), w.to(DType::f32), true, false).y.value().to_vector();
      for (size_t i = 0; i < want.size(); ++i)
        ASSERT_NEAR(got[i], want[i], 1e-5) << rows << " rows, " << co << " channels, element " << i;
    }
  }
}

// The same 1x1 as a convolution.
TEST(PointwiseConv, EqualsConv2d) {
  const Tensor x = random_tensor({2, 5, 3, 20}, 1), w = random_tensor({20, 36}, 2);
  const Values one = pointwise_conv(x, w, false, false).y.value().to_vector();
  const Values two =
      conv2d(x, w.reshape({1, 1, 20, 36}), {1, 1, Padding::same}, false).y.value().to_vector();
  for (size_t i = 0; i < one.size(); ++i) ASSERT_NEAR(one[i], two[i], 1e-13);
}

// At the kink of relu: its value is 0, and so is its gradient.
TEST(PointwiseConv, TheKinkOfRelu) {
  Tape tape;
  const Var x = tape.variable(Tensor::from({0, -0.0, -1, 2}, {1, 2, 2, 1}));
  const Var w = tape.variable(Tensor::from({3}, {1, 1}));
  const Var y = pointwise_conv(x, w, true, false).y;
  EXPECT_EQ(y.value().to_vector(), (Values{0, 0, 0, 6}));
  tape.backward(y);
  EXPECT_EQ(tape.gradient(x).to_vector(), (Values{0, 0, 0, 3}));
  EXPECT_EQ(tape.gradient(w).to_vector(), (Values{2}));
}

// A NaN of a source is not hidden by relu.
TEST(PointwiseConv, NanTravels) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor x = Tensor::from({NAN, 1}, {1, 1, 2, 1}, dtype),
                 w = Tensor::from({2}, {1, 1}, dtype);
    const Tensor y = pointwise_conv(x, w, true, false).y.value();
    EXPECT_TRUE(std::isnan(y.item(0)));
    EXPECT_EQ(y.item(1), 2);
  }
}

// One weight for two sources: its gradient is the sum.
TEST(PointwiseConv, AWeightMayRepeat) {
  Parameter p{"w", Tensor::from({2, 3}, {2, 1}), {}};
  Tape tape;
  const Var x = tape.variable(Tensor::from({1, 2}, {1, 1, 1, 2}));
  const std::vector<Var> sources{x, x}, weights{tape.use(p), tape.use(p)};
  tape.backward(pointwise_conv(sources, weights, false, false).y);
  EXPECT_EQ(p.grad.to_vector(), (Values{2, 4}));
  EXPECT_EQ(tape.gradient(x).to_vector(), (Values{4, 6}));
  EXPECT_EQ(tape.recorded_ops(), 1u);
}

TEST(PointwiseConv, InputsAreChecked) {
  const Var x = Tensor({1, 2, 2, 3}), w = Tensor({3, 4});
  EXPECT_EQ(
      error_of([&] {
        pointwise_conv(x, Tensor({4, 3}), false, false);
      }),
      "pointwise_conv: needs a source [N, H, W, C] and its weight [C, Cout], got [1, 2, 2, 3] "
      "and [4, 3]");
  EXPECT_THROW(pointwise_conv(std::vector<Var>{}, std::vector<Var>{}, false, false), Error);
  EXPECT_THROW(pointwise_conv(std::vector<Var>{x, x}, std::vector<Var>{w}, false, false), Error);
  EXPECT_THROW(pointwise_conv(std::vector<Var>{x, Tensor({1, 2, 3, 3})}, std::vector<Var>{w, w},
                              false, false),
               Error);
  EXPECT_THROW(
      pointwise_conv(std::vector<Var>{x, x}, std::vector<Var>{w, Tensor({3, 5})}, false, false),
      Error);
}

}  // namespace
}  // namespace enas::test
