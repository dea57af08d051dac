#include "ops/gate_state.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/op_cases.h"

namespace enas::test {
namespace {

Tensor gate_with(double finite) { return Tensor::from({1, 1, finite, 2}, {4}, DType::f64); }

OpCase gate_case(std::string label, const Shape& shape, bool open) {
  OpCase c;
  c.label = std::move(label);
  c.inputs = {in(shape)};
  c.op = [open](Tape&, const std::vector<Var>& x) {
    Tensor state = x[0].value().clone();
    gate_state(state, gate_with(open ? 1 : 0).to(state.device()));
    return std::vector<Var>{state};
  };
  c.reference = [open](const std::vector<Values>& in) {
    return std::vector<Values>{open ? in[0] : Values(in[0].size(), 0)};
  };
  c.gradient = false;
  c.exact = true;
  return c;
}
OP_CASES(gate_state, gate_case("1_open", {1}, true), gate_case("3x7_open", {3, 7}, true),
         gate_case("3x7_closed", {3, 7}, false), gate_case("64x1000_closed", {64, 1000}, false));

TEST(GateState, AnOpenGateKeepsEveryBitAndAClosedOneZeroesWhatIsNotFinite) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Tensor state = Tensor::from({nan, HUGE_VAL, -0.0, 3}, {4});
  gate_state(state, gate_with(1));
  EXPECT_TRUE(std::isnan(state.item(0)) && std::isinf(state.item(1)));
  EXPECT_TRUE(std::signbit(state.item(2)) && state.item(3) == 3);
  gate_state(state, gate_with(0));
  EXPECT_EQ(state.to_vector(), Values(4, 0));
}

TEST(GateState, ReadsTheGateOfGradNormAndRefusesOthers) {
  Tensor state = Tensor::full({2}, 5);
  gate_state(state, grad_norm({}, 0, Tensor::from({2.5}, {1})));
  EXPECT_EQ(state.item(), 5);
  gate_state(state, grad_norm({}, 0, Tensor::from({HUGE_VAL}, {1})));
  EXPECT_EQ(state.item(), 0);
  Tensor none, indices = Tensor::from_indices({1}, {1});
  EXPECT_THROW(gate_state(state, Tensor::zeros({4})), Error);
  EXPECT_THROW(gate_state(none, gate_with(1)), Error);
  EXPECT_THROW(gate_state(indices, gate_with(1)), Error);
}

}  // namespace
}  // namespace enas::test
