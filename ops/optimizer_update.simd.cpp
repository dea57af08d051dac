// Update kernels, f32, elementwise: raw pointers and sizes only. Plain loops over distinct arrays,
// which the compilers turn into vectors of the file's instruction set, square roots included.
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {
namespace {

// A gradient of null counts as zero.
template <bool kGrad>
inline float direction(float value, const float* grad, int64_t i, float decay, float factor) {
  return factor * ((kGrad ? grad[i] : 0.0f) + decay * value);
}

template <bool kGrad>
inline void sgd(float* __restrict value, const float* __restrict grad, int64_t n, float lr,
                float decay, float factor) {
  for (int64_t i = 0; i < n; ++i) {
    value[i] -= lr * direction<kGrad>(value[i], grad, i, decay, factor);
  }
}

// nesterov: d + momentum * b instead of b.
template <bool kGrad>
inline void sgd_momentum(float* __restrict value, const float* __restrict grad,
                         float* __restrict slot, int64_t n, float lr, float momentum, bool nesterov,
                         float decay, float factor) {
  const float of_direction = nesterov ? 1.0f : 0.0f, of_slot = nesterov ? momentum : 1.0f;
  for (int64_t i = 0; i < n; ++i) {
    const float d = direction<kGrad>(value[i], grad, i, decay, factor);
    const float b = momentum * slot[i] + d;
    slot[i] = b;
    value[i] -= lr * (of_direction * d + of_slot * b);
  }
}

template <bool kGrad>
inline void adam(float* __restrict value, const float* __restrict grad, float* __restrict m,
                 float* __restrict v, int64_t n, float rate, float beta1, float rest1, float beta2,
                 float rest2, float root_correction, float epsilon, float decay, float factor) {
  for (int64_t i = 0; i < n; ++i) {
    const float d = direction<kGrad>(value[i], grad, i, decay, factor);
    const float first = beta1 * m[i] + rest1 * d;
    const float second = beta2 * v[i] + rest2 * (d * d);
    m[i] = first;
    v[i] = second;
    value[i] -= rate * (first / (__builtin_sqrtf(second) * root_correction + epsilon));
  }
}

// Adam's moments of gradients that vanish are subnormal, at a microcode assist each (0.6 ms for
// 100,000 parameters), and epsilon makes nothing of them: its kernel takes subnormals for zero.
#if defined(__x86_64__)
inline unsigned float_mode() { return __builtin_ia32_stmxcsr(); }
inline void set_float_mode(unsigned mode) {
  asm volatile("" ::: "memory");
  __builtin_ia32_ldmxcsr(mode);
  asm volatile("" ::: "memory");
}
#else
inline unsigned float_mode() { return 0; }
inline void set_float_mode(unsigned) {}
#endif
constexpr unsigned kNoSubnormals = 0x8040;  // flush to zero, denormals are zero

}  // namespace

// slot null: no momentum.
void sgd_step(float* value, const float* grad, float* slot, int64_t n, float lr, float momentum,
              bool nesterov, float decay, float factor) {
  if (slot == nullptr) {
    grad ? sgd<true>(value, grad, n, lr, decay, factor)
         : sgd<false>(value, grad, n, lr, decay, factor);
  } else {
    grad ? sgd_momentum<true>(value, grad, slot, n, lr, momentum, nesterov, decay, factor)
         : sgd_momentum<false>(value, grad, slot, n, lr, momentum, nesterov, decay, factor);
  }
}

// rate = lr / (1 - beta1^t), root_correction = 1 / sqrt(1 - beta2^t), rest = 1 - beta rounded once.
void adam_step(float* value, const float* grad, float* m, float* v, int64_t n, float rate,
               float beta1, float rest1, float beta2, float rest2, float root_correction,
               float epsilon, float decay, float factor) {
  const unsigned before = float_mode();
  set_float_mode(before | kNoSubnormals);
  grad ? adam<true>(value, grad, m, v, n, rate, beta1, rest1, beta2, rest2, root_correction,
                    epsilon, decay, factor)
       : adam<false>(value, grad, m, v, n, rate, beta1, rest1, beta2, rest2, root_correction,
                     epsilon, decay, factor);
  set_float_mode(before);
}

void average_step(const float* __restrict value, float* __restrict average, int64_t n,
                  float weight) {
  for (int64_t i = 0; i < n; ++i) average[i] += (value[i] - average[i]) * weight;
}

}  // namespace enas::ENAS_ISA_NAMESPACE
