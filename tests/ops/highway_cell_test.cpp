// Highway-gated nodes: every activation, masks, the window's weight gradient, relu's kink.
#include "ops/highway_cell.h"

#include "tests/ops/cell_reference.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

OP_CASES(highway_cell, cell_cases(false, true, highway_cell, highway_input));
OP_CASES(highway_input, cell_cases(true, true, highway_cell, highway_input));

// A chain of nodes on one weight: later uses depend on earlier ones.
TEST(HighwayWindow, GradientIsTheSumOfAllUses) {
  const Tensor mask = random_tensor({3, 4}, 1);
  expect_window_gradient(random_tensor({4, 8}, 2), [&](const Var& w) {
    Var s = random_tensor({3, 4}, 3);
    for (const Activation f : {Activation::tanh, Activation::sigmoid, Activation::identity}) {
      s = highway_cell(s, w, f, mask);
    }
    return weighted_sum({s});
  });
}

TEST(HighwayWindow, InputGradientIsTheSumOfAllUses) {
  expect_window_gradient(random_tensor({8, 8}, 2), [&](const Var& w) {
    Var s = Tensor::zeros({3, 4}, DType::f64);
    for (uint64_t t = 0; t < 3; ++t) {
      s = highway_input(random_tensor({3, 4}, 10 + t), s, w, Activation::tanh);
    }
    return weighted_sum({s});
  });
}

TEST(Highway, MaskLeavesTheCarryAlone) {
  const Tensor s = random_tensor({2, 3}, 1), w = random_tensor({3, 6}, 2);
  const Tensor y = highway_cell(s, w, Activation::tanh, zeros_like(s)).value();
  // The product is 0, so sigmoid(t) = 1/2 and f(h) = 0.
  for (int64_t i = 0; i < 6; ++i) EXPECT_DOUBLE_EQ(y.item(i), s.item(i) / 2);
}

TEST(Highway, XAndSMayBeOneVar) {
  const Tensor w = random_tensor({8, 8}, 2);
  EXPECT_EQ(grad_check(
                [&](Tape&, const std::vector<Var>& v) {
                  return weighted_sum({highway_input(v[0], v[0], w, Activation::tanh)});
                },
                {random_tensor({3, 4}, 1)}),
            "");
}

// relu'(0) = 0: with h = 0 the weight's h half gets nothing.
TEST(Highway, ReluHasSlopeZeroAtZero) {
  Tape tape;
  const Var w = tape.variable(Tensor::zeros({1, 2}, DType::f64));
  tape.backward(highway_cell(Tensor::from({3}, {1, 1}, DType::f64), w, Activation::relu));
  // y = s + sigmoid(t) (relu(h) - s), dy/dt = -3 / 4, times s = 3.
  EXPECT_EQ(tape.gradient(w).to_vector(), (Values{0, -2.25}));
}

TEST(Highway, NanTravels) {
  for (int f = 0; f < kActivations; ++f) {
    const Tensor s = Tensor::from({0, NAN}, {2, 1}), w = Tensor::from({1, 1}, {1, 2});
    const Tensor y = highway_cell(s, w, static_cast<Activation>(f)).value();
    EXPECT_TRUE(std::isfinite(y.item(0)));
    EXPECT_TRUE(std::isnan(y.item(1)));
  }
}

TEST(Highway, RefusesWhatDoesNotFit) {
  const Var s = Tensor::zeros({2, 3}), w = Tensor::zeros({3, 6});
  const Tensor bad = Tensor::zeros({3, 2});
  EXPECT_EQ(error_of([&] { highway_cell(Tensor::zeros({3}), w, Activation::tanh); }),
            "highway_cell: s must be [B, H], got [3]");
  EXPECT_EQ(error_of([&] { highway_cell(s, bad, Activation::tanh); }),
            "highway_cell: w must be f32 [3, 6], got f32 [3, 2]");
  EXPECT_EQ(error_of([&] { highway_cell(s, w, Activation::tanh, bad); }),
            "highway_cell: mask must be f32 [2, 3], got f32 [3, 2]");
  EXPECT_EQ(error_of([&] { highway_input(bad, s, w, Activation::tanh); }),
            "highway_input: x must be f32 [2, 3], got f32 [3, 2]");
  EXPECT_EQ(error_of([&] { highway_input(s, s, w, Activation::tanh); }),
            "highway_input: w must be f32 [6, 6], got f32 [3, 6]");
  EXPECT_EQ(error_of([&] {
              highway_input(s, s, Tensor::zeros({6, 6}), Activation::tanh, {}, bad);
            }),
            "highway_input: mask_s must be f32 [2, 3], got f32 [3, 2]");
}

}  // namespace
}  // namespace enas::test
