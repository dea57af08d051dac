// Vectors of doubles for *.simd.cpp, beside those of floats of tensor/simd.h: what the walk of the
// controller and the gradient norm need. Internal to ops/.
//   exp: x = n ln2 + r, |r| <= ln2 / 2, a Taylor polynomial of degree 13 for e^r - 1
#pragma once
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

constexpr int kDoubles = kWidth / 2;

typedef double Doubles __attribute__((vector_size(kDoubles * 8), may_alias));
typedef double LooseDoubles __attribute__((vector_size(kDoubles * 8), aligned(8), may_alias));
typedef int64_t Longs __attribute__((vector_size(kDoubles * 8), may_alias));
typedef float HalfFloats __attribute__((vector_size(kDoubles * 4), aligned(4), may_alias));

// g++ 12 widens vectors of eight in halves, by four instructions where one does.
#if defined(__AVX512F__) && !defined(__clang__)
inline Doubles widen(HalfFloats v) {
  typedef float Eight __attribute__((vector_size(32)));
  return __builtin_ia32_cvtps2pd512_mask(reinterpret_cast<Eight>(v), Doubles{}, -1, 4);
}
#else
inline Doubles widen(HalfFloats v) { return __builtin_convertvector(v, Doubles); }
#endif
inline HalfFloats narrow(Doubles v) { return __builtin_convertvector(v, HalfFloats); }

inline Doubles load_doubles(const double* p) { return *reinterpret_cast<const LooseDoubles*>(p); }
inline Doubles load_doubles(const float* p) {
  return widen(*reinterpret_cast<const HalfFloats*>(p));
}
inline void store(double* p, Doubles v) { *reinterpret_cast<LooseDoubles*>(p) = v; }
inline void store(float* p, Doubles v) { *reinterpret_cast<HalfFloats*>(p) = narrow(v); }
inline Doubles splat(double x) { return x - Doubles{}; }
// b where either is NaN.
inline Doubles min(Doubles a, Doubles b) { return a < b ? a : b; }
inline Doubles max(Doubles a, Doubles b) { return a > b ? a : b; }
inline double sum(Doubles v) {
  double total = 0;
  for (int i = 0; i < kDoubles; ++i) total += v[i];
  return total;
}
// The first n < kDoubles; the rest is zero.
inline Doubles load_tail(const double* p, int64_t n) {
#if defined(__AVX512F__)
  return __builtin_ia32_loadupd512_mask(p, Doubles{}, static_cast<uint8_t>((1u << n) - 1));
#else
  Doubles v = {};
  for (int64_t i = 0; i < n; ++i) v[i] = p[i];
  return v;
#endif
}
inline void store_tail(double* p, Doubles v, int64_t n) {
#if defined(__AVX512F__)
  __builtin_ia32_storeupd512_mask(p, v, static_cast<uint8_t>((1u << n) - 1));
#else
  for (int64_t i = 0; i < n; ++i) p[i] = v[i];
#endif
}
inline void store_tail(float* p, Doubles v, int64_t n) {
#if defined(__AVX512F__)
  const HalfFloats half = narrow(v);
  store_tail(p, __builtin_shufflevector(half, half, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7),
             n);
#else
  for (int64_t i = 0; i < n; ++i) p[i] = static_cast<float>(v[i]);
#endif
}

struct Exponential {
  Doubles scale, rest;  // e^x = scale + scale * rest, rest = e^r - 1
};
// x in [-708, 709]; of NaN the rest is NaN.
inline Exponential exponential(Doubles x) {
  const Doubles shifter = splat(6755399441055744.0);  // 1.5 * 2^52: adding it rounds to an integer
  const Doubles shifted = x * 1.4426950408889634 + shifter;
  const Doubles n = shifted - shifter;
  const Doubles r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
  Doubles p = splat(1.0 / 6227020800.0);
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  // The low bits of `shifted` are n.
  const Longs power = (reinterpret_cast<Longs>(shifted) + 1023) << 52;
  return {reinterpret_cast<Doubles>(power), (p * r) * r + r};
}

// 1 / (1 + e^-x); NaN stays NaN.
inline Doubles sigmoid(Doubles x) {
  const Exponential e = exponential(-max(splat(-708.0), min(splat(708.0), x)));
  return 1.0 / (1.0 + (e.scale + e.scale * e.rest));
}

// tanh |x| = d / (d + 2), d = e^2|x| - 1, small where x is small; NaN stays NaN.
inline Doubles tanh(Doubles x) {
  const Longs sign = reinterpret_cast<Longs>(x) & reinterpret_cast<Longs>(splat(-0.0));
  const Doubles magnitude = reinterpret_cast<Doubles>(reinterpret_cast<Longs>(x) ^ sign);
  const Exponential e = exponential(min(splat(40.0), magnitude * 2.0));
  const Doubles d = (e.scale - 1.0) + e.scale * e.rest;
  return reinterpret_cast<Doubles>(reinterpret_cast<Longs>(d / (d + 2.0)) | sign);
}

}  // namespace enas::ENAS_ISA_NAMESPACE
