// Kernel of ops/gate_state.h.
#include "ops/gate_state.h"

#include "cuda/elementwise.cuh"

namespace enas::cuda {
namespace {

using Unit = uint16_t;  // zero bits are the number 0 in every floating type

__global__ void zero_behind_closed_gate(Unit* __restrict__ state, const double* gate, int64_t n,
                                        int64_t packs) {
  if (gate[kGateFinite] == 1) return;
  for (int64_t i = thread_index(); i < packs; i += thread_count()) {
    store_pack(state, i, Pack<Unit>{});
  }
  for (int64_t i = packs * Pack<Unit>::kWidth + thread_index(); i < n; i += thread_count()) {
    state[i] = 0;
  }
}

}  // namespace

void gate_state(Tensor& state, const Tensor& gate) {
  auto* units = static_cast<Unit*>(state.raw());
  const auto n = static_cast<int64_t>(state.bytes() / sizeof(Unit));
  const int64_t packs = packs_in<Unit>(n, units);
  launch("gate_state", zero_behind_closed_gate,
         {dim3(blocks_for(n, int64_t{Pack<Unit>::kWidth} * kMapThreads)), dim3(kMapThreads)}, units,
         gate.data<double>(), n, packs);
}

}  // namespace enas::cuda
