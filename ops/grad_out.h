// A gradient as kernels take it: where to, and whether it is written or added to.
#pragma once
#include "autograd/var.h"

namespace enas {

struct GradOut {
  Tensor* tensor = nullptr;  // null where the gradient is not wanted
  Into into = Into::write;
  bool wanted() const { return tensor != nullptr; }
};
// Of an input, for the rest of this call of backward.
inline GradOut grad_out(Grad& g) {
  if (!g.needed()) return {};
  const Into into = g.into();
  return {&g.tensor(), into};
}

}  // namespace enas
