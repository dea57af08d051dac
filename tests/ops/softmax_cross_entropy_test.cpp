#include "ops/softmax_cross_entropy.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "tests/op_cases.h"

namespace enas::test {
namespace {

// The f32 bound is relative to the largest gradient, while p - 1 rounds relative to 1: few columns
// need a `range` of logits that leaves the target in doubt.
OpCase row(const char* label, int64_t rows, int64_t columns, double range = 4) {
  const auto width = static_cast<size_t>(columns);
  return {.label = label,
          .inputs = {in({rows, columns}, -range, range), indices({rows}, columns)},
          .op =
              [](Tape&, const std::vector<Var>& x) {
                return std::vector<Var>{softmax_cross_entropy(x[0], x[1].value())};
              },
          .reference =
              [width](const std::vector<Values>& in) {
                double loss = 0;
                for (size_t r = 0; r < in[1].size(); ++r) {
                  double total = 0;
                  for (size_t c = 0; c < width; ++c) total += std::exp(in[0][r * width + c]);
                  loss -=
                      std::log(std::exp(in[0][r * width + static_cast<size_t>(in[1][r])]) / total);
                }
                return std::vector<Values>{{loss / static_cast<double>(in[1].size())}};
              },
          .sum_length = columns};
}
OpCase timed(const char* label, int64_t rows, int64_t columns) {
  OpCase c = row(label, rows, columns);
  const double n = static_cast<double>(rows * columns);
  c.draws = 1, c.check.most_elements = 1, c.bench = true, c.flops = 4 * n, c.bytes = 4 * n;
  return c;
}
// The same, of logits that nobody else holds: loss and gradient in one visit.
OpCase handed(OpCase c) {
  c.label += "_in_place";
  c.op = [](Tape&, const std::vector<Var>& x) {
    return std::vector<Var>{softmax_cross_entropy(add_scalar(x[0], 0), x[1].value())};
  };
  return c;
}
OP_CASES(softmax_cross_entropy, row("2x2", 2, 2, 1), row("3x33", 3, 33), row("7x10", 7, 10),
         row("1x7", 1, 7), timed("128x10", 128, 10), timed("2240x10000", 2240, 10000),
         row("5x333_far_apart", 5, 333, 60), handed(row("7x10", 7, 10)),
         handed(row("3x333", 3, 333)), handed(row("5x516", 5, 516)));

// Logits that only the op holds become their gradient, with the values of a fresh one.
TEST(SoftmaxCrossEntropy, WritesIntoLogitsThatNobodyHolds) {
  const Tensor targets = Tensor::from_indices({2, 4}, {2});
  for (const double weight : {1.0, 0.5}) {
    const auto gradient = [&](bool hold) {
      Tape tape;
      const Var x = tape.variable(Tensor::from({1, 2, 3, -1, 0, 4, 2, 2, 2, 1}, {2, 5}));
      Var logits = scale(x, 2);  // saves neither x nor y
      const void* buffer = logits.value().raw();
      const Tensor held = hold ? logits.value() : Tensor();
      const Var loss = softmax_cross_entropy(std::move(logits), targets);
      const Tensor again = Tensor::zeros({2, 5});  // would take the buffer, were it free
      EXPECT_NE(again.raw(), buffer);
      tape.backward(scale(loss, weight));
      if (hold) {
        EXPECT_EQ(held.to_vector(), (Values{2, 4, 6, -2, 0, 8, 4, 4, 4, 2}));
      }
      return tape.gradient(x).to_vector();
    };
    EXPECT_EQ(gradient(true), gradient(false));
  }
}

TEST(SoftmaxCrossEntropy, InPlaceNeedsNoSecondBuffer) {
  constexpr int64_t kRows = 256, kColumns = 4096;
  constexpr size_t kBytes = kRows * kColumns * sizeof(float);
  const Tensor targets = Tensor::zeros({kRows}, DType::i32);
  const auto extra = [&](bool hold) {
    Tape tape;
    Var logits =
        add_row(Tensor::zeros({kRows, kColumns}), tape.variable(Tensor::zeros({kColumns})));
    const Tensor held = hold ? logits.value() : Tensor();
    memory_pool().reset_peak();
    const size_t before = memory_pool().stats().live_bytes;
    const Var loss = softmax_cross_entropy(std::move(logits), targets);
    tape.backward(loss);
    return memory_pool().stats().peak_bytes - before;
  };
  EXPECT_GE(extra(true), kBytes);
  EXPECT_LT(extra(false), kBytes / 4);
}

// A second use of the logits: gradients add, whichever came first.
TEST(SoftmaxCrossEntropy, AddsToOtherGradients) {
  const Tensor targets = Tensor::from_indices({1}, {1});
  for (const bool loss_first : {false, true}) {
    Tape tape;
    const Var x = tape.variable(Tensor::zeros({1, 2}, DType::f64));
    const Var early = loss_first ? softmax_cross_entropy(x, targets) : sum(scale(x, 3));
    const Var late = loss_first ? sum(scale(x, 3)) : softmax_cross_entropy(x, targets);
    tape.backward(add(early, late));
    EXPECT_EQ(tape.gradient(x).to_vector(), (Values{3.5, 2.5}));
  }
}

TEST(SoftmaxCrossEntropy, ExtremeLogitsStayFinite) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    Tape tape;
    const Var x = tape.variable(Tensor::from({1e4, -1e4, 1e4, -1e4}, {2, 2}, dtype));
    const Var loss = softmax_cross_entropy(x, Tensor::from_indices({0, 1}, {2}));
    EXPECT_EQ(loss.value().item(), 1e4);
    tape.backward(loss);
    EXPECT_EQ(tape.gradient(x).to_vector(), (Values{0, 0, 0.5, -0.5}));
  }
}

TEST(SoftmaxCrossEntropy, NanTravels) {
  Tape tape;
  const Var x = tape.variable(Tensor::from({0, NAN, 1, 0, 1, 2}, {2, 3}));
  const Var loss = softmax_cross_entropy(x, Tensor::from_indices({0, 0}, {2}));
  EXPECT_TRUE(std::isnan(loss.value().item()));
  tape.backward(loss);
  EXPECT_TRUE(std::isnan(tape.gradient(x).item(0)));
  EXPECT_FALSE(std::isnan(tape.gradient(x).item(3)));
}

TEST(SoftmaxCrossEntropy, EmptyTensors) {
  Tape tape;
  const Var x = tape.variable(Tensor({0, 3}));
  const Var loss = softmax_cross_entropy(x, Tensor::from_indices({}, {0}));
  EXPECT_TRUE(std::isnan(loss.value().item()));
  tape.backward(loss);
  EXPECT_EQ(tape.gradient(x).numel(), 0);
}

TEST(SoftmaxCrossEntropy, InputsAreChecked) {
  const Tensor x = Tensor::zeros({2, 3});
  EXPECT_THROW(softmax_cross_entropy(x, Tensor::from_indices({0}, {1})), Error);
  EXPECT_THROW(softmax_cross_entropy(x, Tensor::zeros({2})), Error);
  EXPECT_THROW(softmax_cross_entropy(Tensor::zeros({6}), Tensor::from_indices({0, 1}, {2})), Error);
  try {
    softmax_cross_entropy(x, Tensor::from_indices({0, 3}, {2}));
    FAIL() << "target 3 of a vocabulary of 3 was accepted";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "softmax_cross_entropy: target 3 of row 1 is outside the vocabulary of 3");
  }
}

}  // namespace
}  // namespace enas::test
