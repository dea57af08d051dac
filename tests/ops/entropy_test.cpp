#include "ops/entropy.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/op_cases.h"

namespace enas::test {
namespace {

OpCase row(const char* label, const InputSpec& input) {
  const auto columns = static_cast<size_t>(input.shape[-1]);
  return {.label = label,
          .inputs = {input},
          .op = unary(entropy),
          .reference =
              [columns](const std::vector<Values>& in) {
                Values y;
                for (size_t i = 0; i < in[0].size(); i += columns) {
                  double total = 0, h = 0;
                  for (size_t c = i; c < i + columns; ++c) total += std::exp(in[0][c]);
                  for (size_t c = i; c < i + columns; ++c) {
                    const double p = std::exp(in[0][c]) / total;
                    h -= p * std::log(p);
                  }
                  y.push_back(h);
                }
                return std::vector<Values>{y};
              },
          .sum_length = static_cast<int64_t>(columns)};
}
OP_CASES(entropy, row("7", in({7})), row("4x10", in({4, 10}, -3, 3)),
         row("3x33", in({3, 33}, -5, 5)), row("2x3x2", in({2, 3, 2})), [] {
           OpCase c = row("64x1000", in({64, 1000}, -4, 4));
           c.draws = 1, c.check.most_elements = 3, c.bench = true;
           c.flops = 64 * 1000 * 5, c.bytes = 64 * 1000 * 4;
           return c;
         }());

struct Both {
  Values value, gradient;
};
Both both(const Values& logits, DType dtype) {
  Tape tape;
  const Var x =
      tape.variable(Tensor::from(logits, {1, static_cast<int64_t>(logits.size())}, dtype));
  const Var h = entropy(x);
  tape.backward(h);
  return {h.value().to_vector(), tape.gradient(x).to_vector()};
}

TEST(Entropy, ExtremeLogitsStayFinite) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Both sharp = both({1e4, -1e4, 0}, dtype);
    EXPECT_EQ(sharp.value[0], 0);
    EXPECT_EQ(sharp.gradient, (Values{0, 0, 0}));
    const Both tied = both({1e4, 1e4, -1e4}, dtype);
    EXPECT_NEAR(tied.value[0], std::log(2.0), 1e-6);
    for (const double g : tied.gradient) EXPECT_NEAR(g, 0, 1e-6);
  }
}

// Equal logits: the most that n outcomes can have, and a stationary point.
TEST(Entropy, UniformIsTheMaximum) {
  const Both uniform = both(Values(8, 3.0), DType::f64);
  EXPECT_NEAR(uniform.value[0], std::log(8.0), 1e-14);
  for (const double g : uniform.gradient) EXPECT_NEAR(g, 0, 1e-14);
}

TEST(Entropy, MaskedLogitsAddNothing) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Both masked = both({0, -INFINITY, 1}, dtype), without = both({0, 1}, dtype);
    EXPECT_NEAR(masked.value[0], without.value[0], 1e-6);
    EXPECT_EQ(masked.gradient[1], 0);
    EXPECT_NEAR(masked.gradient[2], without.gradient[1], 1e-6);
  }
}

TEST(Entropy, NanTravels) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Both bad = both({0, NAN, 1, 2, 3}, dtype);
    EXPECT_TRUE(std::isnan(bad.value[0]));
    for (const double g : bad.gradient) EXPECT_TRUE(std::isnan(g));
  }
}

TEST(Entropy, EmptyAndScalars) {
  EXPECT_EQ(entropy(Tensor({0, 4})).numel(), 0);
  EXPECT_EQ(entropy(Tensor({2, 0})).value().to_vector(), (Values{0, 0}));
  EXPECT_THROW(entropy(Tensor::zeros({})), Error);
  EXPECT_THROW(entropy(Tensor::zeros({3}, DType::i32)), Error);
}

}  // namespace
}  // namespace enas::test
