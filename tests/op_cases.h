// One table of op cases, used seven ways (docs/adding_an_op.md): value against a naive double
// reference; gradient of the f64 path against central differences; f32 forward and gradients on
// every instruction set against the f64 path; backward on top of gradients that are there already;
// CPU against CUDA; the same bits for every thread count; timing in op_bench. A case lives in
// tests/ops/<family>_test.cpp:
//
//   OP_CASES(softmax, {.label = "4x10", .inputs = {in({4, 10})}, .op = unary(softmax), .reference =
//   softmax_reference},
//            {.label = "64x10000", .inputs = {in({64, 10000})}, ..., .bench = true});
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "autograd/grad_check.h"
#include "autograd/tape.h"

namespace enas::test {

// One input: values uniform in [low, high), or i32 indices in [0, below). Drawn from Philox by
// (case, draw, input).
struct InputSpec {
  Shape shape;
  double low = -1, high = 1;
  int64_t below = 0;  // > 0: i32
  bool grad = true;   // false: a constant, e.g. a mask
};
inline InputSpec in(const Shape& shape, double low = -1, double high = 1) {
  return {shape, low, high, 0, true};
}
inline InputSpec constant(const Shape& shape, double low = -1, double high = 1) {
  return {shape, low, high, 0, false};
}
inline InputSpec indices(const Shape& shape, int64_t below) { return {shape, 0, 0, below, false}; }

using Values = std::vector<double>;
// Row-major input values -> row-major output values, in double, written without the op's own
// tricks.
using Reference = std::function<std::vector<Values>(const std::vector<Values>& inputs)>;
using OpFunction = std::function<std::vector<Var>(Tape&, const std::vector<Var>&)>;

// Against what the f32 bound 4 (K + 8) 2^-24 is taken, K = sum_length:
//   tensor   the largest value of the tensor
//   sums     an element's own sum of absolute terms; for ops whose outputs and gradients are sums
//   of
//            products of inputs with positive factors (products, sums, means, moves)
//   element  an element's own value; for functions of single elements, without cancellation
//   element_forward  the same for outputs; gradients against the tensor, for they cancel where the
//            function saturates (1 - y^2)
enum class F32Bound { tensor, sums, element, element_forward };

struct OpCase {
  std::string label;  // shape as it appears in test and benchmark names
  std::vector<InputSpec> inputs;
  OpFunction op;
  Reference reference;
  bool gradient = true;         // false: an op without gradient (sampling, updates)
  bool exact = false;           // outputs are integers: compared exactly, f32 too
  int64_t sum_length = 1;       // K of the longest sum, forward or backward
  double f64_relative = 1e-12;  // value against reference
  GradCheckOptions check = {};
  // Distance of the inputs to the nearest kink (relu at 0, ties): draws nearer than 10 steps are
  // redrawn.
  std::function<double(const std::vector<Values>&)> kink_margin = nullptr;
  int draws =
      0;  // random inputs for the gradient; 0: 20 for small cases, 2 for those over 2000 elements
  bool bench = false;
  double flops = 0, bytes = 0;  // of one forward pass, for the counters of op_bench
  F32Bound f32_bound = F32Bound::tensor;
};
inline OpCase bounded(F32Bound bound, OpCase c) {
  c.f32_bound = bound;
  return c;
}

struct OpFamily {
  std::string name;
  std::vector<OpCase> cases;
};
std::vector<OpFamily>& op_families();
bool register_op(const char* name, std::vector<OpCase> cases);

inline OpFunction unary(Var (*f)(const Var&)) {
  return [f](Tape&, const std::vector<Var>& x) { return std::vector<Var>{f(x[0])}; };
}
inline OpFunction binary(Var (*f)(const Var&, const Var&)) {
  return [f](Tape&, const std::vector<Var>& x) { return std::vector<Var>{f(x[0], x[1])}; };
}

// The inputs of one draw, as f64 (indices as i32).
std::vector<Tensor> draw_inputs(const OpCase& op_case, uint64_t draw);
std::vector<Tensor> as_dtype(const std::vector<Tensor>& inputs, DType dtype);
std::vector<Tensor> as_device(const std::vector<Tensor>& inputs, Device device);
// sum_k sum_i r_ki y_ki with fixed pseudo-random r: a scalar through which every output matters.
// absolute: |r_ki| instead.
Var weighted_sum(const std::vector<Var>& outputs, bool absolute = false);
// Outputs and gradients of all differentiable inputs, in the dtype of the inputs.
struct Outcome {
  std::vector<Tensor> outputs, gradients;
};
Outcome run_case(const OpCase& op_case, const std::vector<Tensor>& inputs);
// The same of the absolute values of inputs and r: the sums of absolute terms of F32Bound::sums.
Outcome run_absolute(const OpCase& op_case, const std::vector<Tensor>& inputs);

}  // namespace enas::test

#define OP_CASES(name, ...)                            \
  static const bool name##_op_cases [[maybe_unused]] = \
      ::enas::test::register_op(#name, {__VA_ARGS__})
