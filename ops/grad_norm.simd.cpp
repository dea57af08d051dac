// Sum of squares of grad + decay * value, f32 in, double sums: raw pointers and sizes only.
#include "ops/doubles.simd.h"

namespace enas::ENAS_ISA_NAMESPACE {
namespace {

inline HalfFloats load_half(const float* p) { return *reinterpret_cast<const HalfFloats*>(p); }

// grad or value may be null: then it counts as zero.
template <bool kGrad, bool kDecay>
inline double square_sum(const float* value, const float* grad, float decay, int64_t n) {
  constexpr int kSums = 4;  // independent sums hide the latency of the additions
  constexpr int64_t kStep = kSums * kDoubles;
  const int64_t body = n / kStep * kStep;
  Doubles sums[kSums] = {};
  for (int64_t i = 0; i < body; i += kStep) {
    for (int k = 0; k < kSums; ++k) {
      const int64_t at = i + k * kDoubles;
      HalfFloats d = {};
      if constexpr (kGrad) d = load_half(grad + at);
      if constexpr (kDecay) d = d + decay * load_half(value + at);
      const Doubles wide = widen(d);
      sums[k] += wide * wide;
    }
  }
  double total = sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (int64_t i = body; i < n; ++i) {
    float d = kGrad ? grad[i] : 0.0f;
    if constexpr (kDecay) d = d + decay * value[i];
    total += static_cast<double>(d) * static_cast<double>(d);
  }
  return total;
}

}  // namespace

// grad null counts as zero; decay 0 does not read value.
double grad_square_sum(const float* value, const float* grad, float decay, int64_t n) {
  if (grad == nullptr) return decay == 0 ? 0.0 : square_sum<false, true>(value, grad, decay, n);
  return decay == 0 ? square_sum<true, false>(value, grad, decay, n)
                    : square_sum<true, true>(value, grad, decay, n);
}

}  // namespace enas::ENAS_ISA_NAMESPACE
