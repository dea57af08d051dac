// The updates of one element (formulas: ops/optimizer_update.h), for the CPU's loops and the CUDA
// kernels alike. d is the gradient, with decay and clip factor; T = float or double.
#pragma once
#include <cmath>

#include "ops/optimizer_update.h"

namespace enas {

template <class T>
struct SgdStep {
  T lr, momentum;
  bool nesterov;
  ENAS_HD explicit SgdStep(const SgdRule& rule)
      : lr(static_cast<T>(rule.lr)),
        momentum(static_cast<T>(rule.momentum)),
        nesterov(rule.nesterov) {}
  ENAS_HD void plain(T d, T& value) const { value -= lr * d; }
  ENAS_HD void with_momentum(T d, T& value, T& slot) const {
    slot = momentum * slot + d;
    value -= lr * (nesterov ? d + momentum * slot : slot);
  }
};

// What Adam's step count t, from 1 on, makes of the rates.
struct AdamScale {
  double rate, root_correction;
};
ENAS_HD inline AdamScale adam_scale(const AdamRule& rule, double t) {
  return {rule.lr / (1 - std::pow(rule.beta1, t)), 1 / std::sqrt(1 - std::pow(rule.beta2, t))};
}

template <class T>
struct AdamStep {
  T rate, root_correction, beta1, rest1, beta2, rest2, epsilon;  // rest: 1 - beta, rounded once
  ENAS_HD AdamStep(const AdamRule& rule, const AdamScale& scale)
      : rate(static_cast<T>(scale.rate)),
        root_correction(static_cast<T>(scale.root_correction)),
        beta1(static_cast<T>(rule.beta1)),
        rest1(static_cast<T>(1 - rule.beta1)),
        beta2(static_cast<T>(rule.beta2)),
        rest2(static_cast<T>(1 - rule.beta2)),
        epsilon(static_cast<T>(rule.epsilon)) {}
  ENAS_HD void operator()(T d, T& value, T& m, T& v) const {
    m = beta1 * m + rest1 * d;
    v = beta2 * v + rest2 * d * d;
    value -= rate * m / (std::sqrt(v) * root_correction + epsilon);
  }
};

}  // namespace enas
