// Gradients of weights by outer products (ops/panels.h): tiles of dw stay in registers over all
// pixels.
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "ops/panel_tiles.simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

namespace {

struct OuterTask {
  PanelPixels pixels;
  float* dw;
  int64_t ldw;
  Columns columns;
  bool add;
  bool quads;  // the last four columns go four rows a vector
};

// dw[first ... first + R), all columns of the panel.
template <int R, int V>
inline void outer(const OuterTask& task, int64_t first) {
  Floats sum[R][V];
  float* dw = task.dw + first * task.ldw;
  int64_t ldw = task.ldw;
  begin(dw, ldw, task.columns, task.add, sum);
  asm("" : "+r"(dw), "+r"(ldw));
  const PanelPixels& pixels = task.pixels;
  const int64_t last = task.columns.last, x_pixel = pixels.x_pixel, dy_pixel = pixels.dy_pixel;
  for (int64_t r = 0; r < pixels.rows; ++r) {
    const float *x = pixels.x + r * pixels.x_row + first, *dy = pixels.dy + r * pixels.dy_row;
    for (int64_t p = 0; p < pixels.columns; ++p, x += x_pixel, dy += dy_pixel) {
      Floats row[V];
      ENAS_UNROLL for (int j = 0; j < V - 1; ++j) row[j] = load(dy + j * kWidth);
      row[V - 1] = load(dy + last);
      ENAS_UNROLL for (int i = 0; i < R; ++i) {
        const Floats factor = splat(x[i]);
        ENAS_UNROLL for (int j = 0; j < V; ++j) sum[i][j] += factor * row[j];
      }
    }
  }
  ENAS_UNROLL for (int i = 0; i < R; ++i) store_row<V>(dw + i * ldw, task.columns, sum[i]);
}
#if defined(__AVX512F__)
// The same for four columns past whole vectors, R a multiple of 4: lane 4 column + i % 4 of a
// vector holds the last columns of four rows of dw.
template <int R, int V>
inline void quad_outer(const OuterTask& task, int64_t first) {
  constexpr int W = V - 1, Q = R / 4;
  Floats sum[R][W], folded[Q];
  float* dw = task.dw + first * task.ldw;
  int64_t ldw = task.ldw;
  ENAS_UNROLL for (int i = 0; i < Q; ++i) folded[i] = splat(0.0f);
  ENAS_UNROLL for (int i = 0; i < R; ++i) {
    ENAS_UNROLL for (int j = 0; j < W; ++j) {
      sum[i][j] = task.add ? load(dw + i * ldw + j * kWidth) : splat(0.0f);
    }
  }
  asm("" : "+r"(dw), "+r"(ldw));
  const PanelPixels& pixels = task.pixels;
  const int64_t x_pixel = pixels.x_pixel, dy_pixel = pixels.dy_pixel;
  for (int64_t r = 0; r < pixels.rows; ++r) {
    const float *x = pixels.x + r * pixels.x_row + first, *dy = pixels.dy + r * pixels.dy_row;
    for (int64_t p = 0; p < pixels.columns; ++p, x += x_pixel, dy += dy_pixel) {
      const Floats four = each_of_four(dy + W * kWidth);
      Floats row[W];
      ENAS_UNROLL for (int j = 0; j < W; ++j) row[j] = load(dy + j * kWidth);
      ENAS_UNROLL for (int i = 0; i < Q; ++i) folded[i] += few_of_each<4>(x + 4 * i) * four;
      ENAS_UNROLL for (int i = 0; i < R; ++i) {
        const Floats factor = splat(x[i]);
        ENAS_UNROLL for (int j = 0; j < W; ++j) sum[i][j] += factor * row[j];
      }
    }
  }
  ENAS_UNROLL for (int i = 0; i < R; ++i) {
    ENAS_UNROLL for (int j = 0; j < W; ++j) store(dw + i * ldw + j * kWidth, sum[i][j]);
  }
  ENAS_UNROLL for (int i = 0; i < Q; ++i) {
    float lanes[kWidth] __attribute__((aligned(64)));
    store(lanes, folded[i]);
    for (int64_t k = 0; k < kWidth; ++k) {
      float* const to = dw + (4 * i + k % 4) * ldw + W * kWidth + k / 4;
      *to = task.add ? *to + lanes[k] : lanes[k];
    }
  }
}
template <int R, int V>
void quad_outer_of(int64_t rows, const OuterTask& task, int64_t first) {
  if (rows == R) return quad_outer<R, V>(task, first);
  if constexpr (R > 4) quad_outer_of<R - 4, V>(rows, task, first);
}
#endif

template <int R, int V>
void outer_of(int64_t rows, const OuterTask& task, int64_t first) {
  if (rows == R) return outer<R, V>(task, first);
  if constexpr (R > 1) outer_of<R - 1, V>(rows, task, first);
}
template <int V>
void outer_panel(int64_t vectors, int64_t m, const OuterTask& task) {
  if constexpr (V > 1) {
    if (vectors < V) return outer_panel<V - 1>(vectors, m, task);
  }
#if defined(__AVX512F__)
  if constexpr (V > 1) {
    if (task.quads) {
      constexpr int kRows = V == 3 ? 12 : 16;
      const int64_t fours = m / 4, tiles = (m + kRows - 1) / kRows;
      for (int64_t t = 0; t < tiles; ++t) {
        const int64_t first = fours * t / tiles;
        quad_outer_of<kRows, V>(4 * (fours * (t + 1) / tiles - first), task, 4 * first);
      }
      return;
    }
  }
#endif
  constexpr int kRows = outer_rows(V);
  const int64_t tiles = (m + kRows - 1) / kRows;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t first = m * t / tiles;
    outer_of<kRows, V>(m * (t + 1) / tiles - first, task, first);
  }
}

// dy narrower than a vector is copied to where whole vectors can be read.
void outer_narrow(const PanelPixels& pixels, int64_t m, int64_t columns, float* dw, int64_t ldw,
                  bool add) {
  constexpr int64_t kStrip = 64;
  float wide[kStrip * kWidth] __attribute__((aligned(64)));
  for (int64_t r = 0; r < pixels.rows; ++r) {
    for (int64_t p = 0; p < pixels.columns; p += kStrip, add = true) {
      const int64_t n = pixels.columns - p < kStrip ? pixels.columns - p : kStrip;
      const float* const dy = pixels.dy + r * pixels.dy_row + p * pixels.dy_pixel;
      for (int64_t i = 0; i < n; ++i)
        store(wide + i * kWidth, load_tail(dy + i * pixels.dy_pixel, columns, 0.0f));
      const float* const x = pixels.x + r * pixels.x_row + p * pixels.x_pixel;
      const PanelPixels strip{x, pixels.x_pixel, 0, wide, kWidth, 0, 1, n};
      outer_panel<1>(1, m, OuterTask{strip, dw, ldw, {0, columns}, add, false});
    }
  }
}

}  // namespace

void panels_outer(const PanelPixels& pixels, int64_t m, int64_t columns, float* dw, int64_t ldw,
                  bool add) {
  if (columns < kWidth && pixels.rows > 0 && pixels.columns > 0)
    return outer_narrow(pixels, m, columns, dw, ldw, add);
  each_panel(columns, [&](int64_t first, int64_t vectors, const Columns& part) {
    const bool quads = kQuad > 0 && columns > kWidth && columns % kWidth == kQuad && m % 4 == 0 &&
                       first + vectors * kWidth > columns;
    OuterTask task{pixels, dw + first, ldw, part, add, quads};
    task.pixels.dy += first;
    outer_panel<kMostVectors>(vectors, m, task);
  });
}

}  // namespace enas::ENAS_ISA_NAMESPACE
