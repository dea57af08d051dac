#include "ops/gate_state.h"

#include "ops/update_pieces.h"
#include "tensor/dispatch.h"

namespace enas {

void gate_state(Tensor& state, const Tensor& gate) {
  check_gate("gate_state", gate);
  check(state.defined() && is_floating(state.dtype()), "gate_state",
        "needs a state of f32 or f64, got ",
        state.defined() ? name_of(state.dtype()) : std::string_view("nothing"));
  check_device("gate_state", "the gate", gate, state.device());
  dispatch<cpu::gate_state, cuda::gate_state>(state, gate);
  state.bump_version();
}

namespace cpu {

void gate_state(Tensor& state, const Tensor& gate) {
  if (gate.item(kGateFinite) != 1) state.fill(0);
}

}  // namespace cpu

}  // namespace enas
