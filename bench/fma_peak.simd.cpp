// The FMA loop of bench/fma_peak.h.
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

// Twelve chains: more than latency times issue width of any core so far.
long fma_rounds(float* out, long rounds) {
  constexpr int kChains = 12;
  Floats sum[kChains];
  for (int c = 0; c < kChains; ++c) sum[c] = splat(static_cast<float>(c));
  const Floats factor = splat(0.999f), term = splat(1e-3f);
  for (long r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = sum[c] * factor + term;
  }
  Floats total = sum[0];
  for (int c = 1; c < kChains; ++c) total += sum[c];
  *out = total[0];
  return rounds * kChains * kWidth;
}

}  // namespace enas::ENAS_ISA_NAMESPACE
