// Rows of logits for row_statistics.simd.cpp and softmax_cross_entropy.simd.cpp: the largest, and
// sums of exponentials below it. While the sum of a row is made the next row is asked for, so that
// memory and arithmetic overlap: 2240 x 10000 took 7.8 ms without, 4.5 with.
#pragma once
#include "tensor/simd.h"  // and before it, for AVX-512, <immintrin.h>

namespace enas::ENAS_ISA_NAMESPACE {
namespace {

// e^x for x <= 0 or NaN, of a difference that was rounded: within 2^-22 above e^-60 and 2^-21.5
// above 2^-126, below that 0 or near it. With x = (n + j / 16) ln2 + r: a table of 2^(j/16) and a
// cubic e^r, |r| <= ln2 / 32; without a permutation of 16 lanes the degree-7 polynomial of
// tensor/simd.h.
inline Floats exp_below(Floats x) {
#if defined(__AVX512F__)
  alignas(64) static constexpr float powers[16] = {
      1.0f,        1.04427378f, 1.09050773f, 1.13878863f, 1.18920712f, 1.24185781f,
      1.29683955f, 1.35425555f, 1.41421356f, 1.47682615f, 1.54221083f, 1.61049033f,
      1.68179283f, 1.75625216f, 1.83400809f, 1.91520656f};
  const Floats shifter = splat(786432.0f);  // 1.5 * 2^19: adding it rounds to 16ths, j in its bits
  const Floats bounded = max(splat(-104.0f), x);
  const Floats shifted = bounded * 1.44269504f + shifter, n = shifted - shifter;
  const Floats r = bounded - n * 0.693147181f;
  const Floats q = ((r * 0.166666667f + 0.5f) * r + 1.0f) * r;
  // Without `maskz`, g++ 12 warns of an operand that its header leaves undefined.
  const Floats power =
      _mm512_maskz_permutexvar_ps(0xffff, reinterpret_cast<__m512i>(shifted), load(powers));
  return _mm512_maskz_scalef_ps(0xffff, power + power * q, n);
#else
  const Floats bounded = max(splat(-88.3f), x);
  const Floats shifter = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const Floats n = (bounded * 1.44269504f + shifter) - shifter;
  const Floats r = (bounded - n * 0.693359375f) - n * -2.12194440e-4f;
  Floats p = splat(1.9875691e-4f);
  p = p * r + 1.3981999e-3f;
  p = p * r + 8.3334519e-3f;
  p = p * r + 4.1665796e-2f;
  p = p * r + 1.6666665e-1f;
  p = p * r + 5.0000000e-1f;
  p = (p * r) * r + r + 1.0f;
  // The exponent of 2^n; n = -127 makes 0.
  return p * reinterpret_cast<Floats>((__builtin_convertvector(n, Ints) + 127) << 23);
#endif
}

// The largest of a row; NaN is passed over.
inline float row_top(const float* x, int64_t columns) {
  constexpr int64_t kStep = 4 * kWidth;
  const int64_t body = columns / kWidth * kWidth, steps = columns / kStep * kStep;
  Floats most[4];
  for (Floats& m : most) m = splat(-__builtin_inff());
  for (int64_t c = 0; c < steps; c += kStep) {
    for (int k = 0; k < 4; ++k) most[k] = max(load(x + c + k * kWidth), most[k]);
  }
  for (int64_t c = steps; c < body; c += kWidth) most[0] = max(load(x + c), most[0]);
  float top = max_lane(max(max(most[0], most[1]), max(most[2], most[3])));
  for (int64_t c = body; c < columns; ++c) top = x[c] > top ? x[c] : top;
  return top;
}

// sum e^(x - top) of a row, NaN where one is; each(c, e) for each whole vector, tail(c, e) for what
// is left, if anything.
template <class Each, class Tail>
inline float row_total(const float* x, int64_t columns, float top, Each each, Tail tail) {
  constexpr int64_t kStep = 4 * kWidth;
  const int64_t body = columns / kWidth * kWidth, steps = columns / kStep * kStep;
  Floats totals[4];
  for (Floats& t : totals) t = splat(0.0f);
  for (int64_t c = 0; c < steps; c += kStep) {
    for (int k = 0; k < 4; ++k) {
      const Floats e = exp_below(load(x + c + k * kWidth) - top);
      totals[k] += e;
      each(c + k * kWidth, e);
    }
  }
  for (int64_t c = steps; c < body; c += kWidth) {
    const Floats e = exp_below(load(x + c) - top);
    totals[0] += e;
    each(c, e);
  }
  float total = sum((totals[0] + totals[1]) + (totals[2] + totals[3]));
  if (body < columns) {
    const int64_t rest = columns - body;
    const Floats e = exp_below(load_tail(x + body, rest, -__builtin_inff()) - top);
    for (int64_t i = 0; i < rest; ++i) total += e[i];
    tail(body, e);
  }
  return total;
}

}  // namespace
}  // namespace enas::ENAS_ISA_NAMESPACE
