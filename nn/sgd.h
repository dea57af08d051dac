// Stochastic gradient descent with momentum (ops/optimizer_update.h has the formulas). Only the
// parameters a step is given change; momentum exists from a parameter's first use on.
#pragma once
#include <functional>
#include <map>
#include <span>
#include <string>

#include "autograd/parameter.h"

namespace enas {

struct SgdOptions {
  double momentum = 0;
  bool nesterov = false;
  double clip = 0;   // bound of the global norm of grad + decay * value; 0: off
  double decay = 0;  // gradient = decay * value
  std::function<bool(const Parameter&)> decays = nullptr;  // to which it applies; empty: all
  bool dense = false;  // parameters without gradient decay and move too (their gradient is 0)
};

class Sgd {
 public:
  explicit Sgd(SgdOptions options = {});

  // One update of `used` (tape.parameters(); with options.dense all parameters). Without dense,
  // parameters without gradient keep their bits. Consumes the gradients: .grad is undefined after.
  // Returns the gate (ops/grad_norm.h), f64 {norm, factor, finite, loss}; read it one step later.
  // If loss or norm is not finite nothing changes. previous: see grad_norm.
  Tensor step(std::span<Parameter* const> used, double lr, const Tensor& loss,
              const Tensor& previous = Tensor());

  // For the checkpoint: PREFIX + parameter name + ".momentum". The handles share their values with
  // the optimizer. load_state copies and forgets all earlier state.
  void state(std::map<std::string, Tensor>& out, const std::string& prefix) const;
  void load_state(const std::map<std::string, Tensor>& in, const std::string& prefix);
  const SgdOptions& options() const { return options_; }

 private:
  SgdOptions options_;
  std::map<std::string, Tensor, std::less<>> momentum_;
};

}  // namespace enas
