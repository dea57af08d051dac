// Adam (ops/optimizer_update.h has the formulas). Only the parameters a step is given change;
// moments and step count exist from a parameter's first use on, one count a parameter.
#pragma once
#include <functional>
#include <map>
#include <span>
#include <string>

#include "autograd/parameter.h"

namespace enas {

struct AdamOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double clip = 0;   // bound of the global norm of grad + decay * value; 0: off
  double decay = 0;  // gradient = decay * value (not decoupled)
  std::function<bool(const Parameter&)> decays = nullptr;  // to which it applies; empty: all
  bool dense = false;  // parameters without gradient are updated too (their gradient is 0)
};

class Adam {
 public:
  explicit Adam(AdamOptions options = {});

  // As Sgd::step.
  Tensor step(std::span<Parameter* const> used, double lr, const Tensor& loss,
              const Tensor& previous = Tensor());

  // For the checkpoint: PREFIX + parameter name + ".m", ".v" and ".t" (f64 [1]). As Sgd's.
  void state(std::map<std::string, Tensor>& out, const std::string& prefix) const;
  void load_state(const std::map<std::string, Tensor>& in, const std::string& prefix);
  const AdamOptions& options() const { return options_; }

 private:
  struct Slots {
    Tensor m, v, t;
  };
  AdamOptions options_;
  std::map<std::string, Slots, std::less<>> slots_;
};

}  // namespace enas
