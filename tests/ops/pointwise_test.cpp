#include "ops/pointwise.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "tensor/isa.h"
#include "tests/op_cases.h"

namespace enas::test {
namespace {

using Function = double (*)(double);
using Function2 = double (*)(double, double);

Reference each(Function f) {
  return [f](const std::vector<Values>& in) {
    Values y;
    for (const double x : in[0]) y.push_back(f(x));
    return std::vector<Values>{y};
  };
}
Reference each(Function2 f) {
  return [f](const std::vector<Values>& in) {
    Values y;
    for (size_t i = 0; i < in[0].size(); ++i) y.push_back(f(in[0][i], in[1][i]));
    return std::vector<Values>{y};
  };
}
double distance_to_zero(const std::vector<Values>& in) {
  double least = INFINITY;
  for (const double x : in[0]) least = std::min(least, std::fabs(x));
  return least;
}
OpCase row(const char* label, const InputSpec& input, Var (*f)(const Var&), Function reference) {
  return bounded(F32Bound::element,
                 {.label = label, .inputs = {input}, .op = unary(f), .reference = each(reference)});
}
OpCase timed(const char* label, const InputSpec& input, Var (*f)(const Var&), Function reference) {
  OpCase c = row(label, input, f, reference);
  const auto n = static_cast<double>(input.shape.numel());
  c.draws = 1, c.check.most_elements = 3, c.bench = true, c.flops = n, c.bytes = 8 * n;
  return c;
}
OpCase row(const char* label, const Shape& shape, Var (*f)(const Var&, const Var&),
           Function2 reference, double low = -2) {
  return bounded(F32Bound::element, {.label = label,
                                     .inputs = {in(shape), in(shape, low, 2)},
                                     .op = binary(f),
                                     .reference = each(reference)});
}
OpCase timed(const char* label, const Shape& shape, Var (*f)(const Var&, const Var&),
             Function2 reference, double low = -2) {
  OpCase c = row(label, shape, f, reference, low);
  const auto n = static_cast<double>(shape.numel());
  c.draws = 1, c.check.most_elements = 3, c.bench = true, c.flops = n, c.bytes = 12 * n;
  return c;
}

OpCase saturating_row(const char* label, const InputSpec& input, Var (*f)(const Var&),
                      Function reference) {
  return bounded(F32Bound::element_forward, row(label, input, f, reference));
}
OpCase saturating_timed(const char* label, const InputSpec& input, Var (*f)(const Var&),
                        Function reference) {
  return bounded(F32Bound::element_forward, timed(label, input, f, reference));
}

double neg_of(double x) { return -x; }
double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }
double relu_of(double x) { return x > 0 ? x : 0; }
double square_of(double x) { return x * x; }
double scale_of(double x) { return x * -2.5; }
double add_scalar_of(double x) { return x + 0.75; }
double add_of(double a, double b) { return a + b; }
double sub_of(double a, double b) { return a - b; }
double mul_of(double a, double b) { return a * b; }
double div_of(double a, double b) { return a / b; }
Var scaled(const Var& x) { return scale(x, -2.5); }
Var shifted(const Var& x) { return add_scalar(x, 0.75); }

OP_CASES(neg, row("1", in({1}), neg, neg_of), row("3x33", in({3, 33}), neg, neg_of),
         timed("1120x200", in({1120, 200}), neg, neg_of));
OP_CASES(exp, row("1", in({1}), exp, std::exp), row("3x33", in({3, 33}, -3, 2), exp, std::exp),
         timed("1120x200", in({1120, 200}), exp, std::exp));
OP_CASES(log, row("1", in({1}, 0.5, 2), log, std::log),
         row("3x33", in({3, 33}, 0.2, 5), log, std::log),
         timed("1120x200", in({1120, 200}, 0.5, 2), log, std::log));
OP_CASES(tanh, saturating_row("7", in({7}), tanh, std::tanh),
         saturating_row("3x33", in({3, 33}, -3, 3), tanh, std::tanh),
         saturating_timed("1120x200", in({1120, 200}, -2, 2), tanh, std::tanh));
OP_CASES(sigmoid, saturating_row("7", in({7}), sigmoid, sigmoid_of),
         saturating_row("3x33", in({3, 33}, -5, 5), sigmoid, sigmoid_of),
         saturating_timed("1120x200", in({1120, 200}, -2, 2), sigmoid, sigmoid_of));
OP_CASES(square, row("7", in({7}), square, square_of), row("3x33", in({3, 33}), square, square_of),
         timed("1120x200", in({1120, 200}), square, square_of));
OP_CASES(sqrt, row("7", in({7}, 0.3, 3), sqrt, std::sqrt),
         row("3x33", in({3, 33}, 0.3, 9), sqrt, std::sqrt),
         timed("1120x200", in({1120, 200}, 0.5, 2), sqrt, std::sqrt));
OP_CASES(scale, row("1", in({1}), scaled, scale_of), row("3x33", in({3, 33}), scaled, scale_of),
         timed("1120x200", in({1120, 200}), scaled, scale_of));
OP_CASES(add_scalar, row("1", in({1}), shifted, add_scalar_of),
         row("3x33", in({3, 33}), shifted, add_scalar_of),
         timed("1120x200", in({1120, 200}), shifted, add_scalar_of));
OP_CASES(add, row("1", {1}, add, add_of), row("3x33", {3, 33}, add, add_of),
         timed("1120x200", {1120, 200}, add, add_of));
OP_CASES(sub, row("1", {1}, sub, sub_of), row("3x33", {3, 33}, sub, sub_of),
         timed("1120x200", {1120, 200}, sub, sub_of));
OP_CASES(mul, row("1", {1}, mul, mul_of), row("3x33", {3, 33}, mul, mul_of),
         timed("1120x200", {1120, 200}, mul, mul_of),
         {.label = "constant_right",
          .inputs = {in({5, 7}), constant({5, 7})},
          .op = binary(mul),
          .reference = each(mul_of)},
         {.label = "constant_left",
          .inputs = {constant({5, 7}), in({5, 7})},
          .op = binary(mul),
          .reference = each(mul_of)});
OP_CASES(div, row("1", {1}, div, div_of, 0.5), row("3x33", {3, 33}, div, div_of, 0.5),
         timed("1120x200", {1120, 200}, div, div_of, 0.5),
         {.label = "constant_right",
          .inputs = {in({5, 7}), constant({5, 7}, 0.5, 2)},
          .op = binary(div),
          .reference = each(div_of)},
         {.label = "constant_left",
          .inputs = {constant({5, 7}), in({5, 7}, 0.5, 2)},
          .op = binary(div),
          .reference = each(div_of)});

OpCase relu_row(const char* label, const Shape& shape) {
  OpCase c = row(label, in(shape), relu, relu_of);
  c.kink_margin = distance_to_zero;
  c.check.step = 1e-5;
  c.check.relative = 1e-6;
  return c;
}
OP_CASES(relu, relu_row("1", {1}), relu_row("3x33", {3, 33}), [] {
  // No kink margin: the check looks at 3 elements, the draws are fixed, none of them is near 0.
  OpCase c = timed("1120x200", in({1120, 200}), relu, relu_of);
  c.check.step = 1e-6, c.check.relative = 1e-6;
  return c;
}());

Reference add_row_reference(size_t columns) {
  return [columns](const std::vector<Values>& in) {
    Values y = in[0];
    for (size_t i = 0; i < y.size(); ++i) y[i] += in[1][i % columns];
    return std::vector<Values>{y};
  };
}
OP_CASES(add_row,
         {.label = "1x1",
          .inputs = {in({1, 1}), in({1})},
          .op = binary(add_row),
          .reference = add_row_reference(1)},
         {.label = "3x33_row_1x33",
          .inputs = {in({3, 33}), in({1, 33})},
          .op = binary(add_row),
          .reference = add_row_reference(33),
          .sum_length = 3},
         {.label = "2x5x7",
          .inputs = {in({2, 5, 7}), in({7})},
          .op = binary(add_row),
          .reference = add_row_reference(7),
          .sum_length = 10},
         {.label = "constant_x",
          .inputs = {constant({9, 40}), in({40})},
          .op = binary(add_row),
          .reference = add_row_reference(40),
          .sum_length = 9},
         {.label = "1120x200",
          .inputs = {in({1120, 200}), in({200})},
          .op = binary(add_row),
          .reference = add_row_reference(200),
          .sum_length = 1120,
          .check = {.most_elements = 3},
          .draws = 1,
          .bench = true,
          .flops = 1120 * 200,
          .bytes = 1120 * 200 * 8});

// Distance in units of the last place of the f32 nearest to `want`.
double ulps(float got, double want) {
  if (std::isnan(want)) return std::isnan(got) ? 0 : INFINITY;
  const float near = static_cast<float>(want);
  if (got == near) return 0;
  if (std::isinf(near) || !std::isfinite(got)) return INFINITY;
  const float size = std::max(std::fabs(near), 0x1p-126f);
  const float next = std::nextafter(size, INFINITY);
  return std::fabs(static_cast<double>(got) - want) / (static_cast<double>(next) - size);
}

// 2^20 floats spread over all bit patterns, then 2^18 over [-range, range].
void expect_accurate(Var (*f)(const Var&), Function reference, float range) {
  constexpr int64_t kPatterns = 1 << 20, kDense = 1 << 18;
  Tensor x({kPatterns + kDense});
  for (int64_t i = 0; i < kPatterns; ++i) {
    x.data<float>()[i] = std::bit_cast<float>(static_cast<uint32_t>(i * 4096 + i % 4093));
  }
  for (int64_t i = 0; i < kDense; ++i) {
    x.data<float>()[kPatterns + i] = range * (2 * static_cast<float>(i) / kDense - 1);
  }
  const Isa before = isa();
  for (const Isa path : available_isas()) {
    set_isa(path);
    const Tensor y = f(x).value();
    double worst = 0, where = 0;
    for (int64_t i = 0; i < x.numel(); ++i) {
      const double off = ulps(y.data<float>()[i], reference(x.data<float>()[i]));
      if (off > worst) worst = off, where = x.data<float>()[i];
    }
    EXPECT_LE(worst, 8) << name_of(path) << " at " << where;
    testing::Test::RecordProperty(std::string(name_of(path)), std::to_string(worst));
  }
  set_isa(before);
}
TEST(PointwiseAccuracy, Exp) { expect_accurate(exp, std::exp, 104); }
TEST(PointwiseAccuracy, Log) { expect_accurate(log, std::log, 4); }
TEST(PointwiseAccuracy, Tanh) { expect_accurate(tanh, std::tanh, 10); }
TEST(PointwiseAccuracy, Sigmoid) { expect_accurate(sigmoid, sigmoid_of, 104); }
TEST(PointwiseAccuracy, Sqrt) { expect_accurate(sqrt, std::sqrt, 4); }

TEST(Pointwise, NanTravels) {
  for (const auto f : {neg, exp, log, tanh, sigmoid, relu, square, sqrt, scaled, shifted}) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Tensor y = f(Tensor::from({1, NAN, 2}, {3}, dtype)).value();
      EXPECT_FALSE(std::isnan(y.item(0)));
      EXPECT_TRUE(std::isnan(y.item(1)));
    }
  }
  for (const auto f : {add, sub, mul, div}) {
    const Tensor y = f(Tensor::from({1, NAN}, {2}), Tensor::from({NAN, 1}, {2})).value();
    EXPECT_TRUE(std::isnan(y.item(0)) && std::isnan(y.item(1)));
  }
}

// Value and derivative of f at x.
std::pair<double, double> at(Var (*f)(const Var&), double x, DType dtype) {
  Tape tape;
  const Var v = tape.variable(Tensor::from({x}, {1}, dtype));
  const Var y = f(v);
  tape.backward(y);
  return {y.value().item(), tape.gradient(v).item()};
}

TEST(Pointwise, ConventionsAtTheEdges) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    EXPECT_EQ(at(relu, 0, dtype), std::make_pair(0.0, 0.0));
    EXPECT_EQ(at(sqrt, 0, dtype), std::make_pair(0.0, INFINITY + 0.0));
    EXPECT_EQ(at(log, 0, dtype), std::make_pair(-INFINITY + 0.0, INFINITY + 0.0));
    EXPECT_TRUE(std::isnan(at(log, -1, dtype).first));
    EXPECT_TRUE(std::isnan(at(sqrt, -1, dtype).first));
    EXPECT_EQ(at(sigmoid, 200, dtype).first, 1);
    EXPECT_EQ(at(tanh, -200, dtype), std::make_pair(-1.0, 0.0));
  }
}

TEST(Pointwise, OneInputTwice) {
  Tape tape;
  const Var x = tape.variable(Tensor::from({3, -2}, {2}));
  tape.backward(mul(x, x));
  EXPECT_EQ(tape.gradient(x).to_vector(), (Values{6, -4}));
}

TEST(Pointwise, EmptyTensors) {
  Tape tape;
  const Var x = tape.variable(Tensor({0, 5}));
  const Var y = add_row(mul(tanh(x), x), Tensor::zeros({5}));
  EXPECT_EQ(y.shape(), Shape({0, 5}));
  tape.backward(y);
  EXPECT_EQ(tape.gradient(x).numel(), 0);
}

TEST(Pointwise, ShapesAreChecked) {
  EXPECT_THROW(add(Tensor::zeros({2, 3}), Tensor::zeros({3, 2})), Error);
  EXPECT_THROW(mul(Tensor::zeros({2}), Tensor::zeros({2}, DType::f64)), Error);
  EXPECT_THROW(add_row(Tensor::zeros({2, 3}), Tensor::zeros({2})), Error);
  EXPECT_THROW(add_row(Tensor::zeros({2, 3}), Tensor::zeros({3, 1})), Error);
  EXPECT_THROW(neg(Tensor::zeros({2}, DType::i32)), Error);
}

}  // namespace
}  // namespace enas::test
