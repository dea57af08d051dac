// The gradient check passes right gradients and finds planted errors.
#include "autograd/grad_check.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/autograd/test_ops.h"

namespace enas::test {
namespace {

// y = sin x, whose backward is wrong by a factor of 1 + error in one element.
Var wrong_sine(const Var& x, double error) {
  Tensor y = empty_like(x.value());
  for (int64_t i = 0; i < y.numel(); ++i) y.data<double>()[i] = std::sin(x.value().item(i));
  return record("wrong_sine", {x}, y, [v = x.value(), error](const Tensor& dy, Grads& dx) {
    Tensor grad = empty_like(v);
    for (int64_t i = 0; i < v.numel(); ++i) {
      grad.data<double>()[i] = dy.item(i) * std::cos(v.item(i)) * (i == 1 ? 1 + error : 1);
    }
    dx[0].accept(grad);
  });
}

std::string check_sine(double error) {
  return grad_check(
      [&](Tape&, const std::vector<Var>& x) { return total(wrong_sine(x[0], error)); },
      {f64({0.3, 0.7, -1.1})});
}

TEST(GradCheck, PassesARightGradient) { EXPECT_EQ(check_sine(0), ""); }

TEST(GradCheck, FindsASmallPlantedError) {
  for (const double error : {1e-7, -1e-7, 1.0, -1.0}) {
    const std::string text = check_sine(error);
    EXPECT_NE(text.find("input 0 element 1"), std::string::npos) << text;
  }
  EXPECT_NE(check_sine(NAN), "");
}

TEST(GradCheck, FindsAMissingGradient) {
  const auto forgets = [](Tape&, const std::vector<Var>& x) {
    return total(record("forgets", {x[0]}, x[0].value().clone(), [](const Tensor&, Grads&) {}));
  };
  EXPECT_NE(grad_check(forgets, {f64({1, 2})}), "");
}

TEST(GradCheck, FindsAnOverwrittenSum) {
  // Writes where it should add: seen only if the input is used twice.
  const auto overwrites = [](Tape&, const std::vector<Var>& x) {
    const Var y = record("overwrites", {x[0]}, x[0].value().clone(),
                         [](const Tensor& dy, Grads& dx) { dx[0].tensor().copy_from(dy); });
    return total(add(y, scale(x[0], 3)));
  };
  EXPECT_NE(grad_check(overwrites, {f64({1, 2})}), "");
}

TEST(GradCheck, LeavesInputsAloneAndPassesIntegersThrough) {
  const Tensor x = f64({0.5, 2}), index = Tensor::from_indices({1}, {1});
  const auto pick = [](Tape&, const std::vector<Var>& in) {
    EXPECT_FALSE(in[1].has_grad());
    return total(scale(in[0], in[1].value().item()));
  };
  EXPECT_EQ(grad_check(pick, {x, index}), "");
  EXPECT_EQ(x.to_vector(), (std::vector<double>{0.5, 2}));
}

TEST(GradCheck, RefusesALossThatIsNoScalar) {
  const auto vector = [](Tape&, const std::vector<Var>& x) { return scale(x[0], 2); };
  EXPECT_THROW(grad_check(vector, {f64({1, 2})}), Error);
}

}  // namespace
}  // namespace enas::test
