// Ungated nodes: every activation, masks, the window's weight gradient, relu's kink.
#include "ops/plain_cell.h"

#include "tests/ops/cell_reference.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

OP_CASES(plain_cell, cell_cases(false, false, plain_cell, plain_input));
OP_CASES(plain_input, cell_cases(true, false, plain_cell, plain_input));

TEST(PlainWindow, GradientIsTheSumOfAllUses) {
  const Tensor mask = random_tensor({3, 4}, 1);
  expect_window_gradient(random_tensor({4, 4}, 2), [&](const Var& w) {
    Var s = random_tensor({3, 4}, 3);
    for (const Activation f : {Activation::tanh, Activation::sigmoid, Activation::identity}) {
      s = plain_cell(s, w, f, mask);
    }
    return weighted_sum({s});
  });
  expect_window_gradient(random_tensor({8, 4}, 2), [&](const Var& w) {
    Var s = Tensor::zeros({3, 4}, DType::f64);
    for (uint64_t t = 0; t < 3; ++t) {
      s = plain_input(random_tensor({3, 4}, 10 + t), s, w, Activation::tanh);
    }
    return weighted_sum({s});
  });
}

// relu'(0) = 0, from either side's formula.
TEST(Plain, ReluHasSlopeZeroAtZero) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    Tape tape;
    const Var s = tape.variable(Tensor::from({0, 1, -1}, {3, 1}, dtype));
    tape.backward(plain_cell(s, Tensor::full({1, 1}, 2, dtype), Activation::relu));
    EXPECT_EQ(tape.gradient(s).to_vector(), (Values{0, 2, 0}));
  }
}

TEST(Plain, RefusesWhatDoesNotFit) {
  const Var s = Tensor::zeros({2, 3}), w = Tensor::zeros({3, 3});
  EXPECT_EQ(error_of([&] { plain_cell(Tensor::zeros({3}), w, Activation::tanh); }),
            "plain_cell: s must be [B, H], got [3]");
  EXPECT_EQ(error_of([&] { plain_cell(s, s, Activation::tanh); }),
            "plain_cell: w must be f32 [3, 3], got f32 [2, 3]");
  EXPECT_EQ(error_of([&] {
              plain_cell(s, w, Activation::tanh, Tensor::zeros({2, 1}));
            }),
            "plain_cell: mask must be f32 [2, 3], got f32 [2, 1]");
  EXPECT_EQ(error_of([&] { plain_input(s, s, w, Activation::tanh); }),
            "plain_input: w must be f32 [6, 3], got f32 [3, 3]");
}

}  // namespace
}  // namespace enas::test
