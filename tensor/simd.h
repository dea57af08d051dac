// Vectors for *.simd.cpp, written with the compilers' vector extensions: one source serves every
// instruction set, whose width is chosen by the flags of the file. Everything here lives in the
// namespace of that instruction set and calls nothing of the standard library, so that the linker
// cannot pick a copy compiled for another CPU.
#pragma once
#include <cstdint>

#ifndef ENAS_ISA_NAMESPACE
#error "tensor/simd.h is for *.simd.cpp files only"
#endif

// Of every loop over a tile that shall stay in registers: one that is not unrolled spills it.
#define ENAS_UNROLL _Pragma("GCC unroll 32")

namespace enas::ENAS_ISA_NAMESPACE {

#if defined(__AVX512F__)
constexpr int kWidth = 16;  // floats
#elif defined(__AVX2__)
constexpr int kWidth = 8;
#else
constexpr int kWidth = 4;
#endif

typedef float Floats __attribute__((vector_size(kWidth * 4), may_alias));
typedef int32_t Ints __attribute__((vector_size(kWidth * 4), may_alias));
typedef float LooseFloats __attribute__((vector_size(kWidth * 4), aligned(4), may_alias));
typedef int32_t LooseInts __attribute__((vector_size(kWidth * 4), aligned(4), may_alias));

inline Floats load(const float* p) { return *reinterpret_cast<const LooseFloats*>(p); }
inline void store(float* p, Floats v) { *reinterpret_cast<LooseFloats*>(p) = v; }
// Asks for the line of p as its owner. Where a loop reads a large array and writes it back, each
// store otherwise waits for the ownership of a line that came in to be read: 32 ms became 8 for 90
// MB in place. A CPU without the instruction ignores it; p may lie past the end.
inline void prefetch_for_write(const float* p) {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" : : "m"(*p));
#else
  __builtin_prefetch(p, 1);
#endif
}
inline Floats splat(float x) { return x - Floats{}; }
inline Ints splat(int32_t x) { return x - Ints{}; }
// The first n < kWidth floats; the rest is `fill`.
inline Floats load_tail(const float* p, int64_t n, float fill) {
#if defined(__AVX512F__)
  return __builtin_ia32_loadups512_mask(p, splat(fill), static_cast<uint16_t>((1u << n) - 1));
#else
  Floats v = splat(fill);
  for (int64_t i = 0; i < n; ++i) v[i] = p[i];
  return v;
#endif
}
inline void store_tail(float* p, Floats v, int64_t n) {
#if defined(__AVX512F__)
  __builtin_ia32_storeups512_mask(p, v, static_cast<uint16_t>((1u << n) - 1));
#else
  for (int64_t i = 0; i < n; ++i) p[i] = v[i];
#endif
}
// The first n floats, at most a vector of them; the rest is zero.
inline Floats load_some(const float* p, int64_t n) {
  return n >= kWidth ? load(p) : load_tail(p, n, 0.0f);
}
inline void store_some(float* p, Floats v, int64_t n) {
  n >= kWidth ? store(p, v) : store_tail(p, v, n);
}
// Lanes of a where mask is all ones, of b where it is zero.
inline Floats select(Ints mask, Floats a, Floats b) { return mask ? a : b; }
// b where either is NaN. g++ makes two instructions of the select.
#if defined(__AVX512F__) && !defined(__clang__)
inline Floats max(Floats a, Floats b) {
  return __builtin_ia32_maxps512_mask(a, b, a, uint16_t{0xffff}, 4);
}
inline Floats min(Floats a, Floats b) {
  return __builtin_ia32_minps512_mask(a, b, a, uint16_t{0xffff}, 4);
}
#else
inline Floats max(Floats a, Floats b) { return select(a > b, a, b); }
inline Floats min(Floats a, Floats b) { return select(a < b, a, b); }
#endif
inline Floats abs(Floats x) {
  return reinterpret_cast<Floats>(reinterpret_cast<Ints>(x) & 0x7fffffff);
}
inline float sum(Floats v) {
  float total = 0;
  for (int i = 0; i < kWidth; ++i) total += v[i];
  return total;
}
inline float max_lane(Floats v) {
  float most = v[0];
  for (int i = 1; i < kWidth; ++i) most = v[i] > most ? v[i] : most;
  return most;
}

// e^x within 2 ulp: x = n ln2 + r, |r| <= ln2 / 2, a degree-7 polynomial for e^r, then the
// exponent. Under -103.97 it is 0, over 88.72 infinity; NaN stays NaN.
inline Floats exp(Floats x) {
  const Floats clamped = min(splat(89.0f), max(splat(-104.0f), x));
  const Floats shifter = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const Floats n = (clamped * 1.44269504f + shifter) - shifter;
  const Floats r = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
  Floats p = splat(1.9875691e-4f);
  p = p * r + 1.3981999e-3f;
  p = p * r + 8.3334519e-3f;
  p = p * r + 4.1665796e-2f;
  p = p * r + 1.6666665e-1f;
  p = p * r + 5.0000000e-1f;
  p = (p * r) * r + r + 1.0f;
#if defined(__AVX512F__)
  return __builtin_ia32_scalefps512_mask(p, n, p, uint16_t{0xffff}, 4);  // p 2^n
#else
  // Two factors, so that results below 2^-126 come out as subnormals instead of wrapping.
  const Ints whole = __builtin_convertvector(n, Ints);
  const Ints half = whole >> 1;
  const Floats scale0 = reinterpret_cast<Floats>((half + 127) << 23);
  const Floats scale1 = reinterpret_cast<Floats>((whole - half + 127) << 23);
  const Floats y = p * scale0 * scale1;
  return select(x == x, y, x);
#endif
}

// log x within 2 ulp: x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), s = f / (2 + f), and
// log(1 + f) = 2 atanh s = f - f^2/2 + s (f^2/2 + R), R = s^2 (2/3 + 2/5 s^2 + ...).
// -inf at 0, NaN below, infinity and NaN stay.
inline Floats log(Floats x) {
  const Ints tiny = x < 1.17549435e-38f;  // subnormals get an exponent by a factor of 2^23
  // Lanes without a logarithm are mended at the end; 1 keeps their integers in range.
  const Floats scaled = select(x > 0.0f, select(tiny, x * 8388608.0f, x), splat(1.0f));
  const Ints bits = reinterpret_cast<Ints>(scaled) - 0x3f3504f3;  // sqrt(1/2)
  const Ints exponent = bits >> 23;
  const Floats k = __builtin_convertvector(exponent - (tiny & 23), Floats);
  const Floats f = reinterpret_cast<Floats>((bits & 0x007fffff) + 0x3f3504f3) - 1.0f;
  const Floats s = f / (2.0f + f), z = s * s;
  Floats p = splat(0.22222222f);
  p = p * z + 0.28571429f;
  p = p * z + 0.4f;
  p = p * z + 0.66666667f;
  const Floats half_square = 0.5f * f * f;
  const Floats low = s * (half_square + p * z) + k * -2.12194440e-4f;
  const Floats y = k * 0.693359375f + (f - (half_square - low));
  const Floats not_finite = select(x < 0.0f, splat(__builtin_nanf("")), x);
  const Floats edge = select(x == 0.0f, splat(-__builtin_inff()), not_finite);
  return select((x > 0.0f) & (x < __builtin_inff()), y, edge);
}

inline Floats sqrt(Floats x) {
  float lanes[kWidth] __attribute__((aligned(64)));
  store(lanes, x);
  for (int i = 0; i < kWidth; ++i) lanes[i] = __builtin_sqrtf(lanes[i]);
  return load(lanes);
}

// 1 / (1 + e^-x), from e^-|x| so that no tail overflows.
inline Floats sigmoid(Floats x) {
  const Floats z = exp(-abs(x));
  return select(x < 0.0f, z, splat(1.0f)) / (1.0f + z);
}

// tanh x: odd polynomial under 0.625, 1 - 2 / (e^2x + 1) above.
inline Floats tanh(Floats x) {
  const Floats magnitude = abs(x), square = x * x;
  Floats p = splat(-5.70498872745e-3f);
  p = p * square + 2.06390887954e-2f;
  p = p * square + -5.37397155531e-2f;
  p = p * square + 1.33314422036e-1f;
  p = p * square + -3.33332819422e-1f;
  const Floats small = (p * square) * x + x;
  const Floats large = 1.0f - 2.0f / (exp(magnitude + magnitude) + 1.0f);
  const Floats signed_large = select(x < 0.0f, -large, large);
  return select(magnitude < 0.625f, small, signed_large);
}

}  // namespace enas::ENAS_ISA_NAMESPACE
