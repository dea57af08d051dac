// Vectors of doubles for *.simd.cpp, beside those of floats of tensor/simd.h: what the sampling of
// architectures needs. Internal to ops/.
//   exp: x = n ln2 + r, |r| <= ln2 / 2, a Taylor polynomial of degree 13 for e^r - 1
#pragma once
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

constexpr int kDoubles = kWidth / 2;

typedef double Doubles __attribute__((vector_size(kDoubles * 8), may_alias));
typedef double LooseDoubles __attribute__((vector_size(kDoubles * 8), aligned(8), may_alias));
typedef int64_t Longs __attribute__((vector_size(kDoubles * 8), may_alias));
typedef float HalfFloats __attribute__((vector_size(kDoubles * 4), aligned(4), may_alias));

inline Doubles load_doubles(const double* p) { return *reinterpret_cast<const LooseDoubles*>(p); }
inline Doubles load_doubles(const float* p) {
  return __builtin_convertvector(*reinterpret_cast<const HalfFloats*>(p), Doubles);
}
inline void store(double* p, Doubles v) { *reinterpret_cast<LooseDoubles*>(p) = v; }
inline Doubles splat(double x) { return x - Doubles{}; }
inline Doubles select(Longs mask, Doubles a, Doubles b) {
  return reinterpret_cast<Doubles>((mask & reinterpret_cast<Longs>(a)) |
                                   (~mask & reinterpret_cast<Longs>(b)));
}
inline double sum(Doubles v) {
  double total = 0;
  for (int i = 0; i < kDoubles; ++i) total += v[i];
  return total;
}

struct Exponential {
  Doubles scale, rest;  // e^x = scale + scale * rest, rest = e^r - 1
};
// x in [-708, 709].
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
  const Doubles low = select(x > -708.0, x, splat(-708.0));
  const Doubles clamped = select(low < 708.0, low, splat(708.0));
  const Exponential e = exponential(-clamped);
  return select(x == x, 1.0 / (1.0 + (e.scale + e.scale * e.rest)), x);
}

// tanh |x| = d / (d + 2), d = e^2|x| - 1, small where x is small; NaN stays NaN.
inline Doubles tanh(Doubles x) {
  const Doubles twice = select(x < 0.0, -x, x) * 2.0;
  const Exponential e = exponential(select(twice < 40.0, twice, splat(40.0)));
  const Doubles d = (e.scale - 1.0) + e.scale * e.rest;
  const Doubles y = d / (d + 2.0);
  return select(x == x, select(x < 0.0, -y, y), x);
}

}  // namespace enas::ENAS_ISA_NAMESPACE
