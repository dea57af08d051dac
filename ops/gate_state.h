// State carried from step to step, behind the gate of the step that made it (ops/grad_norm.h):
//   state = finite ? state : 0
// so that nothing that is not finite is carried on, without the host looking.
#pragma once
#include "ops/grad_norm.h"

namespace enas {

// In place, f32 or f64; under an open gate not a bit changes. Raises the state's version.
void gate_state(Tensor& state, const Tensor& gate);

namespace cpu {
void gate_state(Tensor& state, const Tensor& gate);
}
namespace cuda {
void gate_state(Tensor& state, const Tensor& gate);
}

}  // namespace enas
