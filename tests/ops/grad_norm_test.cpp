#include "ops/grad_norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tensor/isa.h"
#include "tests/op_cases.h"

namespace enas::test {
namespace {

constexpr double kClip = 0.25, kDecay = 0.125;

// Inputs: value 0, grad 0, value 1, grad 1, loss; the second item decays.
OpFunction norm_of_two(bool dense) {
  return [dense](Tape&, const std::vector<Var>& x) {
    std::vector<UpdateItem> items(2);
    items[0].value = x[0].value();
    items[0].grad = x[1].value();
    items[1].value = x[2].value();
    if (!dense) items[1].grad = x[3].value();
    items[1].decay = kDecay;
    return std::vector<Var>{grad_norm(items, kClip, x[4].value())};
  };
}
Reference norm_reference(bool dense) {
  return [dense](const std::vector<Values>& in) {
    double total = 0;
    for (const double g : in[1]) total += g * g;
    for (size_t i = 0; i < in[2].size(); ++i) {
      const double d = (dense ? 0 : in[3][i]) + kDecay * in[2][i];
      total += d * d;
    }
    const double norm = std::sqrt(total);
    return std::vector<Values>{{norm, std::min(1.0, kClip / (norm + 1e-6)), 1, in[4][0]}};
  };
}
std::vector<InputSpec> norm_inputs(const Shape& a, const Shape& b) {
  return {in(a), in(a), in(b), in(b), in({1})};
}

OP_CASES(grad_norm,
         {.label = "3x5_7",
          .inputs = norm_inputs({3, 5}, {7}),
          .op = norm_of_two(false),
          .reference = norm_reference(false),
          .gradient = false,
          .sum_length = 22},
         {.label = "3x5_7_dense",
          .inputs = norm_inputs({3, 5}, {7}),
          .op = norm_of_two(true),
          .reference = norm_reference(true),
          .gradient = false,
          .sum_length = 22},
         {.label = "100003_33",
          .inputs = norm_inputs({100003}, {33}),
          .op = norm_of_two(false),
          .reference = norm_reference(false),
          .gradient = false,
          .sum_length = 64,
          .bench = true,
          .flops = 2 * 100003,
          .bytes = 4 * 100003});

std::vector<UpdateItem> one_item(const Tensor& value, const Tensor& grad, double decay = 0) {
  std::vector<UpdateItem> items(1);
  items[0].value = value;
  items[0].grad = grad;
  items[0].decay = decay;
  return items;
}
const Tensor kLoss = Tensor::from({2.5}, {1}, DType::f64);

TEST(GradNorm, ClipFactorIsExactAndZeroIsOff) {
  const auto items = one_item(Tensor::zeros({2}), Tensor::from({3, 4}, {2}));
  EXPECT_EQ(grad_norm(items, 0, kLoss).to_vector(), (Values{5, 1, 1, 2.5}));
  EXPECT_EQ(grad_norm(items, 2, kLoss).to_vector(), (Values{5, 2 / (5 + 1e-6), 1, 2.5}));
  EXPECT_EQ(grad_norm(items, 6, kLoss).item(kGateFactor), 1.0);
  EXPECT_THROW(grad_norm(items, -1, kLoss), Error);
}

TEST(GradNorm, NoItemsIsZero) {
  EXPECT_EQ(grad_norm({}, 1, kLoss).to_vector(), (Values{0, 1, 1, 2.5}));
}

TEST(GradNorm, AnyNonFiniteElementClosesTheGate) {
  for (const Isa path : available_isas()) {
    set_isa(path);
    for (const double bad : {double{NAN}, double{INFINITY}, -double{INFINITY}}) {
      for (const int64_t at : {0, 1, 15, 16, 31, 32, 36}) {
        for (const DType dtype : {DType::f32, DType::f64}) {
          for (const bool decay : {false, true}) {
            Values values(37, 1.0);
            const Tensor good = Tensor::from(values, {37}, dtype);
            ASSERT_EQ(grad_norm(one_item(good, good, decay), 1, kLoss).item(kGateFinite), 1);
            values[static_cast<size_t>(at)] = bad;
            const Tensor grad = Tensor::from(values, {37}, dtype);
            const Tensor gate = grad_norm(one_item(good, grad, decay), 1, kLoss);
            EXPECT_EQ(gate.item(kGateFinite), 0) << bad << " at " << at;
            EXPECT_EQ(gate.item(kGateFactor), 0);
          }
        }
      }
    }
  }
  set_isa(available_isas().back());
}

TEST(GradNorm, NonFiniteLossClosesTheGate) {
  const auto items = one_item(Tensor::zeros({2}), Tensor::from({3, 4}, {2}));
  for (const double bad : {double{NAN}, double{INFINITY}}) {
    const Tensor gate = grad_norm(items, 0, Tensor::from({bad}, {}, DType::f32));
    EXPECT_EQ(gate.item(kGateFinite), 0);
    EXPECT_EQ(gate.item(kGateNorm), 5);
  }
}

TEST(GradNorm, APreviousClosedGateStaysClosed) {
  const auto items = one_item(Tensor::zeros({2}), Tensor::from({3, 4}, {2}));
  const Tensor open = grad_norm(items, 0, kLoss);
  const Tensor closed = grad_norm(items, 0, Tensor::from({NAN}, {1}));
  EXPECT_EQ(grad_norm(items, 0, kLoss, open).item(kGateFinite), 1);
  const Tensor next = grad_norm(items, 0, kLoss, closed);
  EXPECT_EQ(next.item(kGateFinite), 0);
  EXPECT_EQ(grad_norm(items, 0, kLoss, next).item(kGateFinite), 0);
}

// f32 squares of 1e25 overflow f32, not the double sums: such a gradient is clipped, not skipped.
TEST(GradNorm, LargeGradientsAreClippedNotSkipped) {
  const Tensor gate = grad_norm(one_item(Tensor::zeros({40}), Tensor::full({40}, 1e25)), 1, kLoss);
  EXPECT_EQ(gate.item(kGateFinite), 1);
  EXPECT_NEAR(gate.item(kGateNorm) / (1e25 * std::sqrt(40.0)), 1, 1e-6);
}

TEST(GradNorm, RefusesWhatDoesNotFit) {
  const Tensor v = Tensor::zeros({3});
  EXPECT_THROW(grad_norm(one_item(v, Tensor::zeros({4})), 0, kLoss), Error);
  EXPECT_THROW(grad_norm(one_item(v, Tensor::zeros({3}, DType::f64)), 0, kLoss), Error);
  EXPECT_THROW(grad_norm(one_item(v, v), 0, Tensor::zeros({2})), Error);
  EXPECT_THROW(grad_norm(one_item(Tensor(), v), 0, kLoss), Error);
  EXPECT_THROW(grad_norm(one_item(v, v), 0, kLoss, Tensor::zeros({3}, DType::f64)), Error);
}

}  // namespace
}  // namespace enas::test
