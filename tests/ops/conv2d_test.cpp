#include "ops/conv2d.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tests/op_cases.h"
#include "tests/ops/conv_reference.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

// One row: images [n, h, w, ci], a window, co output channels.
OpCase row(const Shape& x, int64_t co, const Window2d& window, bool stats = false) {
  static const char* const kPaddings[] = {"same", "tf_same", "valid"};
  const int64_t k = window.kernel, ci = x[3];
  OpCase c;
  c.label = std::to_string(x[0]) + "x" + std::to_string(x[1]) + "x" + std::to_string(x[2]) + "x" +
            std::to_string(ci) + "to" + std::to_string(co) + "_k" + std::to_string(k) + "_s" +
            std::to_string(window.stride) + "_" + kPaddings[static_cast<int>(window.padding)] +
            (stats ? "_stats" : "");
  c.inputs = {in(x), in({k, k, ci, co})};
  c.op = [window, stats](Tape&, const std::vector<Var>& v) {
    const RawConv out = conv2d(v[0], v[1], window, stats);
    return stats ? std::vector<Var>{out.y, out.stats.mean, out.stats.variance}
                 : std::vector<Var>{out.y};
  };
  c.reference = [x, co, window, stats](const std::vector<Values>& v) {
    const Values y = conv_reference(v[0], x, v[1], co, window);
    return stats ? with_moments(y, co) : std::vector<Values>{y};
  };
  const int64_t rows = x[0] * window.output(x[1]) * window.output(x[2]);
  c.sum_length = std::max(k * k * std::max(ci, co), rows);
  c.gradient = !stats;
  c.f32_bound = stats ? F32Bound::tensor : F32Bound::sums;
  const auto macs = static_cast<double>(rows * k * k * ci * co);
  if (macs > 2e5) c.draws = 1, c.check.most_elements = 8;
  c.flops = 2 * macs;
  c.bytes = 4 * static_cast<double>(x.numel() + rows * co + k * k * ci * co);
  return c;
}
OpCase timed(OpCase c) {
  c.bench = true, c.draws = 1, c.check.most_elements = 1;
  return c;
}

constexpr Padding kSame = Padding::same, kTfSame = Padding::tf_same, kValid = Padding::valid;

OP_CASES(conv2d, row({2, 7, 5, 5}, 17, {3, 1, kSame}), row({1, 6, 6, 17}, 5, {5, 1, kSame}),
         row({2, 7, 5, 3}, 20, {1, 1, kSame}), row({1, 7, 5, 5}, 4, {3, 2, kSame}),
         row({2, 6, 7, 4}, 6, {3, 2, kTfSame}), row({1, 5, 8, 3}, 9, {5, 2, kTfSame}),
         row({1, 7, 5, 10}, 10, {5, 1, kTfSame}), row({2, 8, 7, 6}, 3, {3, 1, kValid}),
         row({1, 9, 8, 2}, 5, {5, 2, kValid}), row({2, 5, 5, 20}, 8, {1, 2, kSame}),
         row({1, 1, 1, 2}, 3, {3, 1, kSame}), row({1, 3, 2, 2}, 1, {5, 1, kSame}),
         row({3, 9, 10, 36}, 36, {3, 1, kSame}), row({1, 11, 6, 40}, 80, {3, 2, kSame}),
         row({2, 7, 5, 5}, 17, {3, 1, kSame}, true), row({3, 6, 5, 36}, 20, {5, 1, kSame}, true),
         row({2, 9, 7, 8}, 72, {3, 2, kTfSame}, true),
         timed(row({4, 32, 32, 36}, 36, {3, 1, kSame})),
         timed(row({4, 32, 32, 36}, 36, {5, 1, kSame})),
         timed(row({8, 16, 16, 72}, 72, {3, 1, kSame})),
         timed(row({16, 8, 8, 144}, 144, {3, 1, kSame})),
         timed(row({4, 32, 32, 20}, 20, {3, 1, kSame})),
         timed(row({4, 32, 32, 3}, 60, {3, 1, kSame}, true)));

TEST(Conv2d, ByHand) {
  // 3x3 of ones over 2x2: each pixel sees all four.
  const Tensor x = Tensor::from({1, 2, 3, 4}, {1, 2, 2, 1}), w = Tensor::full({3, 3, 1, 1}, 1);
  EXPECT_EQ(conv2d(x, w, {3, 1, kSame}, false).y.value().to_vector(), (Values{10, 10, 10, 10}));
  EXPECT_EQ(conv2d(x, w, {3, 2, kSame}, false).y.value().to_vector(), (Values{10}));
}

// tf_same puts the odd pixel of border last: output (0, 0) starts at input (0, 0), not (-1, -1).
TEST(Conv2d, PaddingsStartWhereTheySay) {
  Values v(16);
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<double>(i);
  const Tensor x = Tensor::from(v, {1, 4, 4, 1});
  Values corner(9);
  corner[0] = 1;  // picks the first pixel under the window
  const Tensor w = Tensor::from(corner, {3, 3, 1, 1});
  EXPECT_EQ(conv2d(x, w, {3, 2, kTfSame}, false).y.value().to_vector(), (Values{0, 2, 8, 10}));
  EXPECT_EQ(conv2d(x, w, {3, 2, kSame}, false).y.value().to_vector(), (Values{0, 0, 0, 5}));
  EXPECT_EQ(conv2d(x, w, {3, 1, kValid}, false).y.value().to_vector(), (Values{0, 1, 4, 5}));
}

// As im2col and a matrix product, in f32.
TEST(Conv2d, EqualsIm2col) {
  const Window2d window{5, 1, kSame};
  const Tensor x = random_tensor({2, 9, 7, 20}, 1), w = random_tensor({5, 5, 20, 36}, 2);
  const Values want = im2col_reference(x.to_vector(), x.shape(), w.to_vector(), 36, window);
  const Values got =
      conv2d(x.to(DType::f32), w.to(DType::f32), window, false).y.value().to_vector();
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-4) << i;
}

// A constant channel far from zero: its variance is zero, not the rounding of its square.
TEST(Conv2d, StatisticsOfAChannelFarFromZero) {
  const Tensor x = Tensor::full({4, 9, 9, 1}, 1), w = Tensor::from({3000, 1}, {1, 1, 1, 2});
  const RawConv out = conv2d(x, w, {1, 1, kSame}, true);
  EXPECT_EQ(out.stats.count, 4 * 81);
  EXPECT_EQ(out.stats.mean.to_vector(), (Values{3000, 1}));
  EXPECT_EQ(out.stats.variance.to_vector(), (Values{0, 0}));
}

TEST(Conv2d, EmptyBatch) {
  Tape tape;
  const Var x = tape.variable(Tensor({0, 4, 4, 3})), w = tape.variable(Tensor({3, 3, 3, 2}));
  const Var y = conv2d(x, w, {3, 1, kSame}, false).y;
  EXPECT_EQ(y.shape(), Shape({0, 4, 4, 2}));
  tape.backward(y);
  EXPECT_EQ(tape.gradient(w).to_vector(), Values(54));
  EXPECT_THROW(conv2d(x, w, {3, 1, kSame}, true), Error);
}

TEST(Conv2d, InputsAreChecked) {
  const Tensor x({1, 4, 4, 3}), w({3, 3, 3, 2});
  EXPECT_EQ(error_of([&] {
              conv2d(x, Tensor({3, 3, 4, 2}), {3, 1, kSame}, false);
            }),
            "conv2d: a window of 3 over images [1, 4, 4, 3] needs weights [K, K, Cin, Cout], got "
            "[3, 3, 4, 2]");
  EXPECT_THROW(conv2d(x, w, {5, 1, kSame}, false), Error);
  EXPECT_THROW(conv2d(x, w.to(DType::f64), {3, 1, kSame}, false), Error);
  EXPECT_THROW(conv2d(Tensor({1, 2, 4, 3}), w, {3, 1, kValid}, false), Error);
  EXPECT_THROW(conv2d(x.reshape({4, 4, 3}), w, {3, 1, kSame}, false), Error);
}

TEST(Window2d, OutputsAndBorders) {
  struct Row {
    Window2d window;
    int64_t in, out, before;
  };
  for (const Row& r : std::vector<Row>{{{3, 1, kSame}, 7, 7, 1},
                                       {{5, 1, kSame}, 7, 7, 2},
                                       {{3, 2, kSame}, 7, 4, 1},
                                       {{3, 2, kSame}, 8, 4, 1},
                                       {{5, 2, kSame}, 8, 4, 2},
                                       {{3, 2, kTfSame}, 7, 4, 1},
                                       {{3, 2, kTfSame}, 8, 4, 0},
                                       {{5, 2, kTfSame}, 8, 4, 1},
                                       {{5, 1, kTfSame}, 8, 8, 2},
                                       {{1, 2, kTfSame}, 7, 4, 0},
                                       {{5, 3, kValid}, 11, 3, 0}}) {
    EXPECT_EQ(r.window.output(r.in), r.out);
    EXPECT_EQ(r.window.before(r.in), r.before);
  }
}

}  // namespace
}  // namespace enas::test
