#include "ops/pool2d.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/isa.h"
#include "tensor/philox.h"
#include "tests/op_cases.h"

namespace enas::test {
namespace {

// Calls f(output element, values of its taps in the image), taps in order.
template <class F>
void each_window(const Shape& x, const Window2d& w, const Values& in, F f) {
  const int64_t height = x[1], width = x[2], channels = x[3];
  const int64_t rows = w.output(height), columns = w.output(width);
  size_t at = 0;
  for (int64_t n = 0; n < x[0]; ++n)
    for (int64_t oy = 0; oy < rows; ++oy)
      for (int64_t ox = 0; ox < columns; ++ox)
        for (int64_t c = 0; c < channels; ++c) {
          Values taps;
          for (int64_t k = 0; k < w.kernel * w.kernel; ++k) {
            const int64_t iy = oy * w.stride - w.before(height) + k / w.kernel;
            const int64_t ix = ox * w.stride - w.before(width) + k % w.kernel;
            if (iy < 0 || iy >= height || ix < 0 || ix >= width) continue;
            taps.push_back(
                in[static_cast<size_t>(((n * height + iy) * width + ix) * channels + c)]);
          }
          f(at++, taps);
        }
}

Values max_reference(const Shape& x, const Window2d& w, const Values& in) {
  Values y;
  each_window(x, w, in, [&](size_t, const Values& taps) {
    y.push_back(*std::max_element(taps.begin(), taps.end()));
  });
  return y;
}
Values avg_reference(const Shape& x, const Window2d& w, const Values& in) {
  Values y;
  each_window(x, w, in, [&](size_t, const Values& taps) {
    double total = 0;
    for (const double v : taps) total += v;
    y.push_back(total / static_cast<double>(taps.size()));
  });
  return y;
}
// The smallest distance between the largest two taps of a window.
double smallest_lead(const Shape& x, const Window2d& w, const Values& in) {
  double least = std::numeric_limits<double>::infinity();
  each_window(x, w, in, [&](size_t, Values taps) {
    if (taps.size() < 2) return;
    std::sort(taps.begin(), taps.end());
    least = std::min(least, taps.back() - taps[taps.size() - 2]);
  });
  return least;
}

OpCase pool_row(bool is_max, const char* label, const Shape& x, const Window2d& w) {
  OpCase c;
  c.label = label;
  c.inputs = {in(x, -4, 4)};
  c.op = [is_max, w](Tape&, const std::vector<Var>& v) {
    return std::vector<Var>{is_max ? max_pool2d(v[0], w) : avg_pool2d(v[0], w)};
  };
  c.reference = [is_max, x, w](const std::vector<Values>& v) {
    return std::vector<Values>{is_max ? max_reference(x, w, v[0]) : avg_reference(x, w, v[0])};
  };
  c.sum_length = w.kernel * w.kernel;
  if (is_max) {
    // Linear on both sides of a kink: a short step costs no accuracy, and few draws are near one.
    c.check.step = 1e-5;
    c.kink_margin = [x, w](const std::vector<Values>& v) { return smallest_lead(x, w, v[0]); };
  }
  c.draws = x.numel() > 1000 ? 3 : 0;
  c.bytes = static_cast<double>(x.numel()) * 8;
  return c;
}
OpCase timed(OpCase c) {
  c.bench = true, c.draws = 1, c.check.most_elements = 2, c.kink_margin = nullptr;
  c.gradient = true;
  return c;
}

constexpr Padding kSame = Padding::same, kTf = Padding::tf_same, kValid = Padding::valid;

#define ENAS_POOL_ROWS(is_max)                                                   \
  pool_row(is_max, "2x7x5x5", {2, 7, 5, 5}, {3, 1, kSame}),                      \
      pool_row(is_max, "2x7x5x5_stride2", {2, 7, 5, 5}, {3, 2, kSame}),          \
      pool_row(is_max, "2x8x6x3_stride2_tf", {2, 8, 6, 3}, {3, 2, kTf}),         \
      pool_row(is_max, "1x7x5x17_stride2_tf", {1, 7, 5, 17}, {3, 2, kTf}),       \
      pool_row(is_max, "1x7x5x17", {1, 7, 5, 17}, {3, 1, kSame}),                \
      pool_row(is_max, "1x9x8x20", {1, 9, 8, 20}, {3, 1, kSame}),                \
      pool_row(is_max, "1x8x9x4_5_stride3_valid", {1, 8, 9, 4}, {5, 3, kValid}), \
      pool_row(is_max, "1x1x1x3", {1, 1, 1, 3}, {3, 1, kSame}),                  \
      pool_row(is_max, "1x2x2x1_stride2", {1, 2, 2, 1}, {3, 2, kSame}),          \
      pool_row(is_max, "2x6x7x4_2_stride2_valid", {2, 6, 7, 4}, {2, 2, kValid}), \
      pool_row(is_max, "2x5x6x6_5", {2, 5, 6, 6}, {5, 1, kSame}),                \
      pool_row(is_max, "1x3x40x5", {1, 3, 40, 5}, {3, 1, kSame}),                \
      pool_row(is_max, "1x6x5x2_1_stride3", {1, 6, 5, 2}, {1, 3, kSame}),        \
      timed(pool_row(is_max, "64x32x32x20", {64, 32, 32, 20}, {3, 1, kSame})),   \
      timed(pool_row(is_max, "64x32x32x36", {64, 32, 32, 36}, {3, 1, kSame})),   \
      timed(pool_row(is_max, "64x16x16x40", {64, 16, 16, 40}, {3, 1, kSame})),   \
      timed(pool_row(is_max, "64x8x8x80", {64, 8, 8, 80}, {3, 1, kSame})),       \
      timed(pool_row(is_max, "64x32x32x20_stride2", {64, 32, 32, 20}, {3, 2, kSame}))

OP_CASES(max_pool2d, ENAS_POOL_ROWS(true));
OP_CASES(avg_pool2d, ENAS_POOL_ROWS(false),
         timed(pool_row(false, "64x8x8x36_5_stride3_valid", {64, 8, 8, 36}, {5, 3, kValid})));

Values gradient_of(const Tensor& x, const std::function<Var(const Var&)>& op) {
  Tape tape;
  const Var v = tape.variable(x);
  tape.backward(op(v));
  return tape.gradient(v).to_vector();
}

TEST(MaxPool2d, TheFirstOfEqualTapsTakesTheGradient) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Values g = gradient_of(Tensor::zeros({1, 3, 40, 20}, dtype), [](const Var& v) {
      return max_pool2d(v, {3, 1, kSame});
    });
    const auto at = [&](int64_t y, int64_t x) {
      return g[static_cast<size_t>((y * 40 + x) * 20 + 7)];
    };
    EXPECT_EQ(at(0, 0), 4);  // of outputs (0, 0), (0, 1), (1, 0), (1, 1)
    EXPECT_EQ(at(0, 1), 2);
    EXPECT_EQ(at(0, 39), 0);
    EXPECT_EQ(at(1, 0), 2);
    EXPECT_EQ(at(1, 20), 1);
    EXPECT_EQ(at(2, 39), 0);
  }
}

TEST(MaxPool2d, ANanIsTheMaximum) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    Values x(9 * 20, 1.0);
    x[4 * 20 + 3] = NAN;
    const Tensor images = Tensor::from(x, {1, 3, 3, 20}, dtype);
    const Values y = max_pool2d(images, {3, 1, kSame}).value().to_vector();
    for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isnan(y[i]), i % 20 == 3) << i;
    const Values g = gradient_of(images, [](const Var& v) { return max_pool2d(v, {3, 1, kSame}); });
    EXPECT_EQ(g[4 * 20 + 3], 9);
  }
}

// Few different values, infinities and NaN: the plain f64 loop and every instruction set agree on
// values and places, with places and without.
TEST(MaxPool2d, EveryIsaTakesTheSameTaps) {
  const double values[] = {-INFINITY, -1, -0.0, 0.0, 0.5, 1, INFINITY, NAN};
  const Isa before = isa();
  for (const int64_t channels : {1, 5, 10, 17, 20, 36}) {
    for (const Window2d& window : {Window2d{3, 1, kSame}, {3, 2, kSame}, {5, 1, kSame}}) {
      for (const uint32_t kinds : {7u, 8u}) {  // without NaN and with
        const Shape shape{2, 9, 11, channels};
        const Random random{7, Stream::test, kinds};
        Values x(static_cast<size_t>(shape.numel()));
        for (size_t i = 0; i < x.size(); ++i) {
          x[i] = values[random.below(i % 3 == 0 ? kinds : 7, i)];
        }
        const Shape out{2, window.output(9), window.output(11), channels};
        Tensor want(out, DType::f64), places(out, DType::u8);
        cpu::max_pool2d_forward(Tensor::from(x, shape, DType::f64), window, want, places);
        const Tensor narrow = Tensor::from(x, shape, DType::f32);
        for (const Isa path : available_isas()) {
          set_isa(path);
          Tensor y(out), index(out, DType::u8), alone(out), nothing;
          cpu::max_pool2d_forward(narrow, window, y, index);
          cpu::max_pool2d_forward(narrow, window, alone, nothing);
          set_isa(before);
          ASSERT_EQ(index.to_vector(), places.to_vector()) << channels << ' ' << name_of(path);
          for (int64_t i = 0; i < y.numel(); ++i) {
            const double v = want.item(i);
            for (const double got : {y.item(i), alone.item(i)}) {
              ASSERT_TRUE(got == v || (std::isnan(got) && std::isnan(v))) << i << ' ' << got;
            }
          }
        }
      }
    }
  }
}

TEST(MaxPool2d, InfinitiesAreValues) {
  const Values y =
      max_pool2d(Tensor::full({1, 4, 4, 16}, -INFINITY), {3, 1, kSame}).value().to_vector();
  EXPECT_EQ(y, Values(256, -INFINITY));
}

TEST(AvgPool2d, TheBorderDoesNotCount) {
  const Tensor ones = Tensor::full({1, 5, 7, 3}, 1);
  for (const Padding padding : {kSame, kTf, kValid}) {
    for (const int64_t stride : {1, 2}) {
      const Tensor y = avg_pool2d(ones, {3, stride, padding}).value();
      for (const double v : y.to_vector()) EXPECT_NEAR(v, 1, 1e-6);
    }
  }
}

TEST(Pool2d, OddPixelsOfTfSameComeLast) {
  Values x(16);
  for (size_t i = 0; i < 16; ++i) x[i] = static_cast<double>(i);
  const Tensor images = Tensor::from(x, {1, 4, 4, 1});
  EXPECT_EQ(max_pool2d(images, {3, 2, kTf}).value().to_vector(), (Values{10, 11, 14, 15}));
  EXPECT_EQ(max_pool2d(images, {3, 2, kSame}).value().to_vector(), (Values{5, 7, 13, 15}));
}

TEST(Pool2d, WhatDoesNotFitIsRefused) {
  EXPECT_THROW(max_pool2d(Tensor::zeros({4, 4, 1}), {3, 1, kSame}), Error);
  EXPECT_THROW(max_pool2d(Tensor::zeros({1, 32, 32, 1}), {17, 1, kSame}), Error);
  EXPECT_THROW(avg_pool2d(Tensor::zeros({1, 4, 4, 1}), {5, 3, kValid}), Error);
  EXPECT_EQ(max_pool2d(Tensor::zeros({0, 4, 4, 5}), {3, 1, kSame}).numel(), 0);
  EXPECT_EQ(avg_pool2d(Tensor::zeros({0, 4, 4, 5}), {3, 1, kSame}).numel(), 0);
}

}  // namespace
}  // namespace enas::test
