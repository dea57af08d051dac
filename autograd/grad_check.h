// Gradient check: backward against fourth-order central differences in f64,
// f'(x) ~ (f(x - 2h) - 8 f(x - h) + 8 f(x + h) - f(x + 2h)) / 12h.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "autograd/tape.h"

namespace enas {

struct GradCheckOptions {
  double step = 1e-3;
  // Allowed: |a - b| <= absolute + relative * max(|a|, |b|, largest element of the gradient).
  double relative = 1e-8, absolute = 1e-10;
  int64_t most_elements = 64;  // of each input: spread evenly over larger ones
};

// f maps variables of the given f64 tensors to a scalar Var. Integer tensors are passed as
// constants. Returns an empty text, or what differs: input, element, both values.
using GradCheckFunction = std::function<Var(Tape&, const std::vector<Var>&)>;
std::string grad_check(const GradCheckFunction& f, std::vector<Tensor> inputs,
                       const GradCheckOptions& options = {});

}  // namespace enas
