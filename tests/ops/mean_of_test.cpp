#include "ops/mean_of.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/pointwise.h"
#include "tests/op_cases.h"

namespace enas::test {
namespace {

OpCase row(const char* label, size_t count, const Shape& shape) {
  const OpFunction op = [](Tape&, const std::vector<Var>& x) {
    return std::vector<Var>{mean_of(x)};
  };
  const Reference reference = [](const std::vector<Values>& in) {
    Values y(in[0].size());
    for (const Values& x : in) {
      for (size_t i = 0; i < y.size(); ++i) y[i] += x[i] / static_cast<double>(in.size());
    }
    return std::vector<Values>{y};
  };
  OpCase c{.label = label,
           .inputs = std::vector<InputSpec>(count, in(shape)),
           .op = op,
           .reference = reference};
  c.sum_length = static_cast<int64_t>(count);
  c.f32_bound = F32Bound::sums;
  return c;
}
OP_CASES(mean_of, row("1_of_3x5", 1, {3, 5}), row("2_of_1", 2, {1}), row("3_of_3x33", 3, {3, 33}),
         [] {
           OpCase c = row("4_of_128x200", 4, {128, 200});
           c.draws = 1, c.check.most_elements = 3, c.bench = true, c.flops = 4 * 128 * 200,
           c.bytes = 5 * 128 * 200 * 4;
           return c;
         }());

TEST(MeanOf, ASingleValueIsItself) {
  Tape tape;
  const Var x = tape.variable(Tensor::from({1, 2}, {2}));
  const Var y = mean_of({x});
  EXPECT_EQ(y.slot(), x.slot());
  EXPECT_EQ(tape.recorded_ops(), 0u);
}

// The inputs share one gradient tensor until somebody adds to his.
TEST(MeanOf, SharedGradientsStayApart) {
  Tape tape;
  const Var a = tape.variable(Tensor::from({1, 2}, {2}));
  const Var b = tape.variable(Tensor::from({3, 4}, {2}));
  const Var square_of_a = square(a);
  const Var y = mean_of({a, b, a, Tensor::zeros({2})});
  tape.backward(add(square_of_a, y));
  EXPECT_EQ(tape.gradient(a).to_vector(), (Values{2.5, 4.5}));
  EXPECT_EQ(tape.gradient(b).to_vector(), (Values{0.25, 0.25}));
}

TEST(MeanOf, NanTravelsAndEmptyIsFine) {
  const Tensor y = mean_of({Tensor::from({1, NAN}, {2}), Tensor::zeros({2})}).value();
  EXPECT_EQ(y.item(0), 0.5);
  EXPECT_TRUE(std::isnan(y.item(1)));
  EXPECT_EQ(mean_of({Tensor({0, 3}), Tensor({0, 3})}).numel(), 0);
}

TEST(MeanOf, InputsAreChecked) {
  EXPECT_THROW(mean_of(std::vector<Var>{}), Error);
  EXPECT_THROW(mean_of({Tensor::zeros({2, 3}), Tensor::zeros({3, 2})}), Error);
}

}  // namespace
}  // namespace enas::test
