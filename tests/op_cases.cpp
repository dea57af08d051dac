#include "tests/op_cases.h"

#include <algorithm>
#include <cmath>

#include "tensor/philox.h"

namespace enas::test {

std::vector<OpFamily>& op_families() {
  static std::vector<OpFamily> families;
  return families;
}

bool register_op(const char* name, std::vector<OpCase> cases) {
  op_families().push_back({name, std::move(cases)});
  return true;
}

std::vector<Tensor> draw_inputs(const OpCase& op_case, uint64_t draw) {
  for (uint64_t attempt = 0;; ++attempt) {
    std::vector<Tensor> inputs;
    std::vector<Values> values;
    for (size_t i = 0; i < op_case.inputs.size(); ++i) {
      const InputSpec& spec = op_case.inputs[i];
      const Random random{17 + i, Stream::test, draw + (attempt << 32)};
      const auto n = static_cast<uint64_t>(spec.shape.numel());
      Values v(n);
      for (uint64_t k = 0; k < n; ++k) {
        v[k] = spec.below > 0
                   ? random.below(static_cast<uint32_t>(spec.below), k)
                   : spec.low + (spec.high - spec.low) * static_cast<double>(random.uniform(k));
      }
      inputs.push_back(Tensor::from(v, spec.shape, spec.below > 0 ? DType::i32 : DType::f64));
      values.push_back(std::move(v));
    }
    if (!op_case.kink_margin || op_case.kink_margin(values) > 10 * op_case.check.step)
      return inputs;
    check(attempt < 2000, "op case", op_case.label,
          " finds no inputs away from its kinks; use a smaller shape or step");
  }
}

std::vector<Tensor> as_dtype(const std::vector<Tensor>& inputs, DType dtype) {
  std::vector<Tensor> converted;
  for (const Tensor& x : inputs) converted.push_back(is_floating(x.dtype()) ? x.to(dtype) : x);
  return converted;
}

std::vector<Tensor> as_device(const std::vector<Tensor>& inputs, Device device) {
  std::vector<Tensor> moved;
  for (const Tensor& x : inputs) moved.push_back(x.to(device));
  return moved;
}

Var weighted_sum(const std::vector<Var>& outputs, bool absolute) {
  std::vector<Input> inputs;
  std::vector<Tensor> weights;
  double total = 0;
  for (size_t k = 0; k < outputs.size(); ++k) {
    const Tensor& y = outputs[k].value();
    if (!is_floating(y.dtype())) continue;
    const Random random{99 + k, Stream::test, 0};
    Values r = y.to_vector();
    for (size_t i = 0; i < r.size(); ++i) {
      double weight = static_cast<double>(random.uniform(i)) * 2 - 1;
      if (absolute) weight = std::fabs(weight);
      total += weight * r[i];
      r[i] = weight;
    }
    inputs.emplace_back(outputs[k]);
    weights.push_back(Tensor::from(r, y.shape(), y.dtype()).to(y.device()));
  }
  check(!inputs.empty(), "op case", "no floating output");
  return record("weighted_sum", std::span<const Input>(inputs),
                Tensor::from({total}, {}, weights[0].dtype()).to(weights[0].device()),
                [weights](const Tensor&, Grads& dx) {
                  for (size_t k = 0; k < weights.size(); ++k) {
                    if (dx[k].needed()) dx[k].accept(weights[k]);
                  }
                });
}

namespace {

Outcome run(const OpCase& op_case, const std::vector<Tensor>& inputs, bool absolute) {
  Tape tape;
  std::vector<Var> vars;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const bool differentiable =
        op_case.gradient && op_case.inputs[i].grad && is_floating(inputs[i].dtype());
    vars.push_back(differentiable ? tape.variable(inputs[i]) : Var(inputs[i]));
  }
  const std::vector<Var> outputs = op_case.op(tape, vars);
  Outcome outcome;
  for (const Var& y : outputs) outcome.outputs.push_back(y.value());
  if (op_case.gradient) {
    tape.backward(weighted_sum(outputs, absolute));
    for (const Var& x : vars) {
      if (!x.has_grad()) continue;
      const Tensor grad = tape.gradient(x);
      outcome.gradients.push_back(grad.defined() ? grad : zeros_like(x.value()));
    }
  }
  return outcome;
}

}  // namespace

Outcome run_case(const OpCase& op_case, const std::vector<Tensor>& inputs) {
  return run(op_case, inputs, false);
}

Outcome run_absolute(const OpCase& op_case, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> positive;
  for (const Tensor& x : inputs) {
    Values values = x.to_vector();
    for (double& value : values) value = std::fabs(value);
    positive.push_back(is_floating(x.dtype()) ? Tensor::from(values, x.shape(), x.dtype()) : x);
  }
  return run(op_case, positive, true);
}

}  // namespace enas::test
