#include "autograd/grad_check.h"

#include <algorithm>
#include <cmath>
#include <sstream>

namespace enas {
namespace {

std::vector<Var> enter(Tape& tape, const std::vector<Tensor>& inputs) {
  std::vector<Var> vars;
  for (const Tensor& x : inputs)
    vars.push_back(x.dtype() == DType::f64 ? tape.variable(x) : Var(x));
  return vars;
}

double evaluate(const GradCheckFunction& f, const std::vector<Tensor>& inputs) {
  Tape tape;
  const Tape::NoGrad no_grad(tape);
  return f(tape, enter(tape, inputs)).value().item();
}

}  // namespace

std::string grad_check(const GradCheckFunction& f, std::vector<Tensor> inputs,
                       const GradCheckOptions& options) {
  for (Tensor& x : inputs) x = x.clone();  // perturbed in place below
  Tape tape;
  const std::vector<Var> vars = enter(tape, inputs);
  const Var loss = f(tape, vars);
  check(loss.numel() == 1 && loss.dtype() == DType::f64, "grad_check",
        "needs a scalar f64 loss, got ", loss.dtype(), " ", loss.shape());
  tape.backward(loss);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].dtype() != DType::f64) continue;
    const Tensor grad = tape.gradient(vars[i]);
    const std::vector<double> have =
        grad.defined() ? grad.to_vector()
                       : std::vector<double>(static_cast<size_t>(inputs[i].numel()), 0.0);
    double scale = 0;
    for (const double g : have) scale = std::max(scale, std::fabs(g));
    const int64_t n = inputs[i].numel(), stride = std::max<int64_t>(n / options.most_elements, 1);
    Tensor values = inputs[i].to(Device::cpu);  // the input itself if it lives there
    for (int64_t k = 0; k < n; k += stride) {
      double& x = values.data<double>()[k];
      const double centre = x, h = options.step;
      const auto at = [&](double offset) {
        x = centre + offset;
        if (inputs[i].device() != Device::cpu) inputs[i].copy_from(values);
        return evaluate(f, inputs);
      };
      const double want = (at(-2 * h) - 8 * at(-h) + 8 * at(h) - at(2 * h)) / (12 * h);
      x = centre;
      if (inputs[i].device() != Device::cpu) inputs[i].copy_from(values);
      const double got = have[static_cast<size_t>(k)];
      const double bound =
          options.absolute + options.relative * std::max({std::fabs(want), std::fabs(got), scale});
      if (!(std::fabs(got - want) <= bound)) {
        std::ostringstream text;
        text.precision(15);
        text << "input " << i << " element " << k << ": backward " << got << ", differences "
             << want << ", bound " << bound;
        return text.str();
      }
    }
  }
  return "";
}

}  // namespace enas
