// Parts of the register tiles of ops/panels.h, for panels.simd.cpp and panels_outer.simd.cpp. Every
// loop over a tile must be unrolled: one that is not spills the accumulators, and the kernel is
// several times slower.
#pragma once
#include "ops/panels.h"
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

#if defined(__AVX512F__)  // 32 registers
constexpr int kMostVectors = 3, kQuad = 4;
constexpr int tile_rows(int vectors) { return vectors == 3 ? 8 : vectors == 2 ? 12 : 16; }
constexpr int outer_rows(int vectors) { return vectors == 3 ? 9 : vectors == 2 ? 12 : 16; }
#else  // 16 registers
constexpr int kMostVectors = 3, kQuad = 0;
constexpr int tile_rows(int vectors) { return vectors == 3 ? 4 : vectors == 2 ? 6 : 8; }
constexpr int outer_rows(int vectors) { return tile_rows(vectors); }
#endif

namespace {

// Columns of one panel of V vectors. A ragged last vector ends with the last column and overlaps
// its neighbour: both hold the same bits there. A matrix narrower than a vector has `part` columns.
struct Columns {
  int64_t last;  // where the last vector starts
  int64_t part;  // 0: whole vectors
};
template <int V>
inline void load_row(const float* p, const Columns& columns, Floats (&row)[V]) {
  ENAS_UNROLL for (int j = 0; j < V - 1; ++j) row[j] = load(p + j * kWidth);
  row[V - 1] =
      V == 1 && columns.part > 0 ? load_tail(p, columns.part, 0.0f) : load(p + columns.last);
}
template <int V>
inline void store_row(float* p, const Columns& columns, const Floats (&row)[V]) {
  ENAS_UNROLL for (int j = 0; j < V - 1; ++j) store(p + j * kWidth, row[j]);
  if (V == 1 && columns.part > 0) return store_tail(p, row[0], columns.part);
  store(p + columns.last, row[V - 1]);
}
// A tile's sums: what c holds, or zeros.
template <int R, int V>
inline void begin(const float* c, int64_t ldc, const Columns& columns, bool add,
                  Floats (&sum)[R][V]) {
  if (add) {
    ENAS_UNROLL for (int i = 0; i < R; ++i) load_row<V>(c + i * ldc, columns, sum[i]);
  } else {
    ENAS_UNROLL for (int i = 0; i < R; ++i) {
      ENAS_UNROLL for (int j = 0; j < V; ++j) sum[i][j] = splat(0.0f);
    }
  }
}

// Calls f(first column, vectors, columns) for each panel.
template <class F>
inline void each_panel(int64_t columns, F f) {
  const int64_t total = (columns + kWidth - 1) / kWidth;
  const int64_t count = (total + kMostVectors - 1) / kMostVectors;
  for (int64_t p = 0; p < count; ++p) {
    const int64_t from = total * p / count, to = total * (p + 1) / count;
    const int64_t first = from * kWidth, past = to == total ? columns : to * kWidth;
    f(first, to - from, Columns{past - first - kWidth, columns < kWidth ? columns : 0});
  }
}

#if defined(__AVX512F__)  // <immintrin.h> is included by then
// F numbers one after another, as often as a vector holds them: a load alone, where what else makes
// such a vector takes the port of an FMA.
template <int F>
inline Floats few_of_each(const float* p) {
  if constexpr (F == 4) {
    // Without `maskz`, g++ 12 warns of an operand that its header leaves undefined.
    return _mm512_maskz_broadcast_f32x4(0xffff, _mm_loadu_ps(p));
  } else {
    double two;
    __builtin_memcpy(&two, p, 8);
    return reinterpret_cast<Floats>(_mm512_set1_pd(two));
  }
}
// Each of four numbers four times.
inline Floats each_of_four(const float* p) {
  const __m512i lanes = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  // Without `maskz` and `zext`, g++ 12 warns of an operand that its header leaves undefined.
  return _mm512_maskz_permutexvar_ps(0xffff, lanes, _mm512_zextps128_ps512(_mm_loadu_ps(p)));
}
// Sums of neighbouring lanes in twos: lane i is that of lanes 2 i and 2 i + 1.
inline Floats sums_of_twos(Floats v) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 0, 2, 4, 6, 8, 10, 12, 14);
  return _mm512_maskz_permutexvar_ps(0xffff, even, v) +
         _mm512_maskz_permutexvar_ps(0xffff, _mm512_or_si512(even, _mm512_set1_epi32(1)), v);
}
// Sums of neighbouring lanes in fours: lane 4 i + j of the result is that of lanes 4 j to 4 j + 3
// of v[i].
inline Floats sums_of_fours(const Floats (&v)[4]) {
  const auto half = [](__m512 a, __m512 b) {  // a0 + a2, b0 + b2, a1 + a3, b1 + b3 of each four
    return _mm512_maskz_unpacklo_ps(0xffff, a, b) + _mm512_maskz_unpackhi_ps(0xffff, a, b);
  };
  const __m512d low = _mm512_castps_pd(half(v[0], v[1])), high = _mm512_castps_pd(half(v[2], v[3]));
  const __m512 sums = _mm512_castpd_ps(_mm512_maskz_unpacklo_pd(0xff, low, high)) +
                      _mm512_castpd_ps(_mm512_maskz_unpackhi_pd(0xff, low, high));
  const __m512i turned = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_maskz_permutexvar_ps(0xffff, turned, sums);
}
#endif

}  // namespace

}  // namespace enas::ENAS_ISA_NAMESPACE
