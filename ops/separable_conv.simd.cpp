// Products of the separable block's 1x1 part for f32, on register tiles of 8-wide vectors: 20 and
// 36 channels are 3 and 5 vectors, without the idle lanes of wider ones. Panels of weights are
// packed once an op, pixels are read where they lie.
#include "ops/flat_period.simd.h"

namespace enas::ENAS_ISA_NAMESPACE {
namespace {

// Also with AVX-512: its 32 registers help, its width does not pay here.
constexpr int kUnit = kWidth < 8 ? kWidth : 8;
typedef float Unit __attribute__((vector_size(kUnit * 4), may_alias));
typedef float LooseUnit __attribute__((vector_size(kUnit * 4), aligned(4), may_alias));
inline Unit load_unit(const float* p) { return *reinterpret_cast<const LooseUnit*>(p); }
inline void store_unit(float* p, Unit v) { *reinterpret_cast<LooseUnit*>(p) = v; }
constexpr int64_t units(int64_t n) { return (n + kUnit - 1) / kUnit; }

// Vectors a panel and rows a tile: as many sums as there are registers for.
#if defined(__AVX512F__)
constexpr int kPanel = 5;
constexpr int tile_rows(int vectors) { return vectors >= 5 ? 5 : vectors == 4 ? 6 : 8; }
#else
constexpr int kPanel = 3;
constexpr int tile_rows(int vectors) { return vectors == 3 ? 4 : 6; }
#endif
// Of the next panel where `left` vectors remain: no lone narrow one where it can be avoided.
inline int panel_width(int64_t left) {
  if (left <= kPanel) return static_cast<int>(left);
  if (left == kPanel + 1) return (kPanel + 2) / 2;
  return left >= kPanel + 3 || kPanel < 4 ? kPanel : kPanel - 1;
}

// R rows of b[rows][k] times a panel of V vectors.
template <int R, int V>
inline void tile(const float* a, int64_t k, const float* panel, float* c, int64_t n, int64_t last) {
  Unit sum[R][V];
  ENAS_UNROLL for (int r = 0; r < R; ++r) {
    ENAS_UNROLL for (int v = 0; v < V; ++v) sum[r][v] = Unit{};
  }
  for (int64_t i = 0; i < k; ++i) {
    Unit w[V];
    ENAS_UNROLL for (int v = 0; v < V; ++v) w[v] = load_unit(panel + (i * V + v) * kUnit);
    ENAS_UNROLL for (int r = 0; r < R; ++r) {
      const Unit x = a[r * k + i] - Unit{};
      ENAS_UNROLL for (int v = 0; v < V; ++v) sum[r][v] += x * w[v];
    }
  }
  ENAS_UNROLL for (int r = 0; r < R; ++r) {
    ENAS_UNROLL for (int v = 0; v < V - 1; ++v) store_unit(c + r * n + v * kUnit, sum[r][v]);
    if (last == kUnit) {
      store_unit(c + r * n + (V - 1) * kUnit, sum[r][V - 1]);
    } else {
      float lanes[kUnit];
      store_unit(lanes, sum[r][V - 1]);
      for (int64_t l = 0; l < last; ++l) c[r * n + (V - 1) * kUnit + l] = lanes[l];
    }
  }
}
template <int V>
inline void panel_product(const float* a, int64_t rows, int64_t k, const float* panel, float* c,
                          int64_t n, int64_t last) {
  constexpr int R = tile_rows(V);
  int64_t r = 0;
  for (; r + R <= rows; r += R) tile<R, V>(a + r * k, k, panel, c + r * n, n, last);
  for (; r + 2 <= rows; r += 2) tile<2, V>(a + r * k, k, panel, c + r * n, n, last);
  if (r < rows) tile<1, V>(a + r * k, k, panel, c + r * n, n, last);
}

// sums [R][stride] += a[., R columns]^T b[., V vectors] over pixels.
template <int R, int V>
inline void outer_tile(const float* a, int64_t k, const float* b, int64_t n, int64_t pixels,
                       float* sums, int64_t stride) {
  Unit sum[R][V];
  ENAS_UNROLL for (int r = 0; r < R; ++r) {
    ENAS_UNROLL for (int v = 0; v < V; ++v) sum[r][v] = load_unit(sums + r * stride + v * kUnit);
  }
  for (int64_t p = 0; p < pixels; ++p) {
    Unit w[V];
    ENAS_UNROLL for (int v = 0; v < V; ++v) w[v] = load_unit(b + p * n + v * kUnit);
    ENAS_UNROLL for (int r = 0; r < R; ++r) {
      const Unit x = a[p * k + r] - Unit{};
      ENAS_UNROLL for (int v = 0; v < V; ++v) sum[r][v] += x * w[v];
    }
  }
  ENAS_UNROLL for (int r = 0; r < R; ++r) {
    ENAS_UNROLL for (int v = 0; v < V; ++v) store_unit(sums + r * stride + v * kUnit, sum[r][v]);
  }
}
template <int V>
inline void outer_panel(const float* a, int64_t k, const float* b, int64_t n, int64_t pixels,
                        float* sums, int64_t stride) {
  constexpr int R = tile_rows(V);
  int64_t r = 0;
  for (; r + R <= k; r += R) outer_tile<R, V>(a + r, k, b, n, pixels, sums + r * stride, stride);
  for (; r + 2 <= k; r += 2) outer_tile<2, V>(a + r, k, b, n, pixels, sums + r * stride, stride);
  if (r < k) outer_tile<1, V>(a + r, k, b, n, pixels, sums + r * stride, stride);
}

template <class F>
inline void with_width(int width, F&& f) {
  switch (width) {
    case 1:
      return f(Group<1>{});
    case 2:
      return f(Group<2>{});
    case 3:
      return f(Group<3>{});
#if defined(__AVX512F__)
    case 4:
      return f(Group<4>{});
    case 5:
      return f(Group<5>{});
#endif
    default:
      return;
  }
}

}  // namespace

// w [k, n] (transposed: stored [n, k]) -> panels, at most k * (n rounded up to 8) floats.
void pack_pointwise(const float* w, int64_t k, int64_t n, bool transposed, float* packed) {
  const int64_t vectors = units(n);
  for (int64_t v = 0; v < vectors;) {
    const int width = panel_width(vectors - v);
    for (int64_t i = 0; i < k; ++i) {
      for (int64_t j = v * kUnit; j < (v + width) * kUnit; ++j) {
        *packed++ = j >= n ? 0.0f : transposed ? w[j * k + i] : w[i * n + j];
      }
    }
    v += width;
  }
}

// c [rows, n] = a [rows, k] times packed weights.
void pointwise_product(const float* a, int64_t rows, int64_t k, const float* packed, int64_t n,
                       float* c) {
  const int64_t vectors = units(n);
  constexpr int64_t kBlock = 64;  // rows that stay in L1 while the panels pass over them
  for (int64_t r = 0; r < rows; r += kBlock) {
    const int64_t count = rows - r < kBlock ? rows - r : kBlock;
    const float* panel = packed;
    for (int64_t v = 0; v < vectors;) {
      const int width = panel_width(vectors - v);
      const int64_t last = v + width == vectors ? n - (vectors - 1) * kUnit : kUnit;
      with_width(width, [&](auto group) {
        panel_product<decltype(group)::size>(a + r * k, count, k, panel, c + r * n + v * kUnit, n,
                                             last);
      });
      panel += k * width * kUnit;
      v += width;
    }
  }
}

// sums [k][n rounded up to 8] += a^T b for a [pixels, k], b [pixels, n]. Columns past n hold what
// follows in b, which is nobody's; the last pixel comes from a copy, so that nothing is read past
// b.
void pointwise_outer(const float* a, const float* b, int64_t pixels, int64_t k, int64_t n,
                     float* last_row, float* sums) {
  const int64_t vectors = units(n), stride = (n + 7) / 8 * 8;
  constexpr int64_t kBlock = 64;
  for (int64_t i = 0; i < stride; ++i) last_row[i] = i < n ? b[(pixels - 1) * n + i] : 0.0f;
  for (int64_t p = 0; p < pixels; p += kBlock) {
    const bool end = p + kBlock >= pixels;
    const int64_t count = end ? pixels - p - 1 : kBlock;
    for (int64_t v = 0; v < vectors;) {
      const int width = panel_width(vectors - v);
      with_width(width, [&](auto group) {
        constexpr int V = decltype(group)::size;
        float* to = sums + v * kUnit;
        outer_panel<V>(a + p * k, k, b + p * n + v * kUnit, n, count, to, stride);
        if (end) outer_panel<V>(a + (pixels - 1) * k, k, last_row + v * kUnit, n, 1, to, stride);
      });
      v += width;
    }
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
