#include "ops/reduce.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/op_cases.h"

namespace enas::test {
namespace {

using Term = double (*)(const std::vector<Values>& in, size_t i);

OpCase row(const char* label, const std::vector<InputSpec>& inputs, const OpFunction& op, Term term,
           bool mean) {
  const Reference reference = [term, mean](const std::vector<Values>& in) {
    double total = 0;
    for (size_t i = 0; i < in[0].size(); ++i) total += term(in, i);
    return std::vector<Values>{{mean ? total / static_cast<double>(in[0].size()) : total}};
  };
  OpCase c{.label = label, .inputs = inputs, .op = op, .reference = reference};
  c.sum_length = inputs[0].shape.numel();
  c.f64_relative = 1e-11;
  if (inputs.size() == 1) c.f32_bound = F32Bound::sums;
  return c;
}
OpCase timed(OpCase c) {
  const auto n = static_cast<double>(c.inputs[0].shape.numel());
  c.draws = 1, c.check.most_elements = 3, c.bench = true, c.flops = n;
  c.bytes = 4 * n * static_cast<double>(c.inputs.size());
  return c;
}

double value(const std::vector<Values>& in, size_t i) { return in[0][i]; }
double squared(const std::vector<Values>& in, size_t i) { return in[0][i] * in[0][i]; }
double squared_difference(const std::vector<Values>& in, size_t i) {
  return (in[0][i] - in[1][i]) * (in[0][i] - in[1][i]);
}

OP_CASES(sum, row("1", {in({1})}, unary(sum), value, false),
         row("scalar", {in({})}, unary(sum), value, false),
         row("3x33", {in({3, 33})}, unary(sum), value, false),
         timed(row("1120x200", {in({1120, 200})}, unary(sum), value, false)));
OP_CASES(mean, row("7", {in({7})}, unary(mean), value, true),
         row("3x33", {in({3, 33})}, unary(mean), value, true),
         timed(row("1120x200", {in({1120, 200}, 0, 1)}, unary(mean), value, true)));
OP_CASES(mean_square, row("7", {in({7})}, unary(mean_square), squared, true),
         row("3x33", {in({3, 33})}, unary(mean_square), squared, true),
         timed(row("1120x200", {in({1120, 200})}, unary(mean_square), squared, true)));
OP_CASES(mean_square_difference,
         row("7", {in({7}), in({7})}, binary(mean_square_difference), squared_difference, true),
         row("3x33", {in({3, 33}), in({3, 33})}, binary(mean_square_difference), squared_difference,
             true),
         row("constant", {constant({3, 33}), in({3, 33})}, binary(mean_square_difference),
             squared_difference, true),
         timed(row("1120x200", {in({1120, 200}), in({1120, 200})}, binary(mean_square_difference),
                   squared_difference, true)));

TEST(Reduce, ManyElementsKeepTheirDigits) {
  const int64_t n = (1 << 20) + 3;
  const double want = static_cast<double>(n) * static_cast<double>(0.1f);
  EXPECT_NEAR(sum(Tensor::full({n}, 0.1f)).value().item(), want, 1e-6 * want);
}

TEST(Reduce, TwoUsesAdd) {
  Tape tape;
  const Var x = tape.variable(Tensor::from({1, 2, 3}, {3}));
  Var parts[] = {sum(x), mean_square(x), mean_square_difference(x, x)};
  tape.backward(weighted_sum({parts[0], parts[1], parts[2]}));
  Tape alone;
  const Var z = alone.variable(Tensor::from({1, 2, 3}, {3}));
  alone.backward(weighted_sum({sum(z), mean_square(z)}));
  EXPECT_EQ(tape.gradient(x).to_vector(), alone.gradient(z).to_vector());
}

TEST(Reduce, EmptyTensors) {
  Tape tape;
  const Var x = tape.variable(Tensor({0, 4}));
  EXPECT_EQ(sum(x).value().item(), 0);
  const Var y = mean(x);
  EXPECT_TRUE(std::isnan(y.value().item()));
  tape.backward(y);
  EXPECT_EQ(tape.gradient(x).numel(), 0);
}

TEST(Reduce, NanTravels) {
  const Tensor x = Tensor::from({1, NAN, 2}, {3});
  for (const auto f : {sum, mean, mean_square}) EXPECT_TRUE(std::isnan(f(x).value().item()));
  EXPECT_TRUE(std::isnan(mean_square_difference(x, Tensor::zeros({3})).value().item()));
}

TEST(Reduce, ShapesAreChecked) {
  EXPECT_THROW(mean_square_difference(Tensor::zeros({2, 3}), Tensor::zeros({6})), Error);
  EXPECT_THROW(sum(Tensor::zeros({2}, DType::i32)), Error);
}

}  // namespace
}  // namespace enas::test
