// Running maximum and sum of exponentials of rows, for ops/linear_cross_entropy.h.
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "ops/row_sums.simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

constexpr int kMostVectors = 3;  // of a panel
constexpr int kLanes = 16;       // sums of a row, kWidth of them used

// Whether a lane is greater; a NaN is not.
inline bool any_above(Floats v, float bound) {
#if defined(__AVX512F__)
  return __builtin_ia32_cmpps512_mask(v, splat(bound), 30, uint16_t{0xffff}, 4) != 0;
#elif defined(__AVX__)
  return __builtin_ia32_movmskps256(reinterpret_cast<Floats>(v > bound)) != 0;
#else
  return max_lane(v) > bound;
#endif
}

// For each row of a tile, `columns` <= V vectors wide: top = its maximum so far, sums = the lanes'
// sums of exp(x - top). A new maximum, rare behind the first tiles, scales what is there. NaN is no
// maximum and reaches the sums.
template <int V>
void running(int64_t rows, int64_t columns, const float* tile, int64_t stride, bool first,
             float* tops, float* sums) {
  for (int64_t r = 0; r < rows; ++r, tile += stride, sums += kLanes) {
    Floats x[V];
    ENAS_UNROLL for (int j = 0; j < V; ++j) {
      const int64_t left = columns - j * kWidth;
      x[j] = left >= kWidth ? load(tile + j * kWidth)
                            : load_tail(tile + j * kWidth, left, -__builtin_inff());
    }
    Floats most = splat(-__builtin_inff());
    ENAS_UNROLL for (int j = 0; j < V; ++j) most = max(x[j], most);
    float top = first ? -__builtin_inff() : tops[r];
    Floats total = first ? splat(0.0f) : load(sums);
    if (any_above(most, top)) {
      const float before = top;
      top = max_lane(most);
      total *= exp_below(splat(before - top));
    }
    // Nothing but -infinity so far: any finite place to count from.
    const float from = top == -__builtin_inff() ? 0.0f : top;
    ENAS_UNROLL for (int j = 0; j < V; ++j) total += exp_below(x[j] - from);
    tops[r] = top;
    store(sums, total);
  }
}

template <int V>
void running_of(int64_t vectors, int64_t rows, int64_t columns, const float* tile, int64_t stride,
                bool first, float* tops, float* sums) {
  if (vectors == V) return running<V>(rows, columns, tile, stride, first, tops, sums);
  if constexpr (V > 1) running_of<V - 1>(vectors, rows, columns, tile, stride, first, tops, sums);
}

void running_statistics(int64_t rows, int64_t columns, const float* tile, int64_t stride,
                        bool first, float* tops, float* sums) {
  running_of<kMostVectors>((columns + kWidth - 1) / kWidth, rows, columns, tile, stride, first,
                           tops, sums);
}

}  // namespace enas::ENAS_ISA_NAMESPACE
