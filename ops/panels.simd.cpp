// Register tiles of ops/panels.h. Every loop over a tile must be unrolled: one that is not spills
// the accumulators, and the kernel is several times slower.
#include "ops/panels.h"

#include "tensor/simd.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace enas::ENAS_ISA_NAMESPACE {

#define UNROLL _Pragma("GCC unroll 16")

#if defined(__AVX512F__)  // 32 registers
constexpr int kMostVectors = 3, kQuad = 4;
constexpr int tile_rows(int vectors) { return vectors == 3 ? 8 : vectors == 2 ? 12 : 16; }
constexpr int outer_rows(int vectors) { return vectors == 3 ? 9 : vectors == 2 ? 12 : 16; }
#else  // 16 registers
constexpr int kMostVectors = 3, kQuad = 0;
constexpr int tile_rows(int vectors) { return vectors == 3 ? 4 : vectors == 2 ? 6 : 8; }
constexpr int outer_rows(int vectors) { return tile_rows(vectors); }
#endif

void panels_geometry(int* width, int* vectors, int* quad) {
  *width = kWidth;
  *vectors = kMostVectors;
  *quad = kQuad;
}

namespace {

// The first n < kWidth floats, in a few moves.
inline void move_part(const float* from, float* to, int64_t n) {
  int64_t at = 0;
  for (int64_t step = kWidth / 2; step >= 1; step /= 2) {
    if ((n & step) == 0) continue;
    __builtin_memcpy(to + at, from + at, static_cast<unsigned long>(step) * 4);
    at += step;
  }
}
inline void store_part(float* p, Floats v, int64_t n) {
  float lanes[kWidth] __attribute__((aligned(64)));
  store(lanes, v);
  move_part(lanes, p, n);
}
inline Floats load_part(const float* p, int64_t n) {
  float lanes[kWidth] __attribute__((aligned(64)));
  store(lanes, splat(0.0f));
  move_part(p, lanes, n);
  return load(lanes);
}

// Columns of one panel of V vectors. A ragged last vector ends with the last column and overlaps
// its neighbour: both hold the same bits there. A matrix narrower than a vector has `part` columns.
struct Columns {
  int64_t last;  // where the last vector starts
  int64_t part;  // 0: whole vectors
};
template <int V>
inline void load_row(const float* p, const Columns& columns, Floats (&row)[V]) {
  UNROLL for (int j = 0; j < V - 1; ++j) row[j] = load(p + j * kWidth);
  row[V - 1] = V == 1 && columns.part > 0 ? load_part(p, columns.part) : load(p + columns.last);
}
template <int V>
inline void store_row(float* p, const Columns& columns, const Floats (&row)[V]) {
  UNROLL for (int j = 0; j < V - 1; ++j) store(p + j * kWidth, row[j]);
  if (V == 1 && columns.part > 0) return store_part(p, row[0], columns.part);
  store(p + columns.last, row[V - 1]);
}
// A tile's sums: what c holds, or zeros.
template <int R, int V>
inline void begin(const float* c, int64_t ldc, const Columns& columns, bool add,
                  Floats (&sum)[R][V]) {
  if (add) {
    UNROLL for (int i = 0; i < R; ++i) load_row<V>(c + i * ldc, columns, sum[i]);
  } else {
    UNROLL for (int i = 0; i < R; ++i) {
      UNROLL for (int j = 0; j < V; ++j) sum[i][j] = splat(0.0f);
    }
  }
}

// What the tiles of one panel share.
struct Task {
  const PanelRun* runs;
  int64_t count;
  const float* panel;
  float* c;
  int64_t ldc;
  Columns columns;
  bool add;
  const float* quads;  // null: none
  int64_t quad_columns;
};

// Rows [first, first + R), all columns of the panel.
template <int R, int V>
inline void tile(const Task& task, int64_t first) {
  Floats sum[R][V];
  float* c = task.c + first * task.ldc;
  int64_t ldc = task.ldc;
  begin(c, ldc, task.columns, task.add, sum);
  // Otherwise the addresses of all rows are kept over the loop, on the stack.
  asm("" : "+r"(c), "+r"(ldc));
  const float* b = task.panel;
  for (int64_t s = 0; s < task.count; ++s) {
    const int64_t lda = task.runs[s].stride, depth = task.runs[s].depth;
    const float* a = task.runs[s].a + first * lda;
    for (int64_t k = 0; k < depth; ++k, b += V * kWidth) {
      Floats row[V];
      UNROLL for (int j = 0; j < V; ++j) row[j] = load(b + j * kWidth);
      UNROLL for (int i = 0; i < R; ++i) {
        const Floats factor = splat(a[i * lda + k]);
        UNROLL for (int j = 0; j < V; ++j) sum[i][j] += factor * row[j];
      }
    }
  }
  UNROLL for (int i = 0; i < R; ++i) store_row<V>(c + i * ldc, task.columns, sum[i]);
}

#if defined(__AVX512F__)
// At most four columns past whole vectors, as of 20 or 36, would fill a quarter of their vector:
// it holds them for four rows of the matrix at once, lane 4 (k % 4) + column, and its sums are
// folded at the end.
inline Floats each_of_four(const float* p) {
  const __m512i lanes = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  // Without `maskz` and `zext`, g++ 12 warns of an operand that its header leaves undefined.
  return _mm512_maskz_permutexvar_ps(0xffff, lanes, _mm512_zextps128_ps512(_mm_loadu_ps(p)));
}
inline void fold_quads(float* c, Floats sum, int64_t columns, bool add) {
  float lanes[kWidth] __attribute__((aligned(64)));
  store(lanes, sum);
  for (int64_t j = 0; j < columns; ++j) {
    const float total = (lanes[j] + lanes[4 + j]) + (lanes[8 + j] + lanes[12 + j]);
    c[j] = add ? c[j] + total : total;
  }
}
// Rows of a in fours: an address needs a base and a step, and few registers hold all.
template <int R>
struct RowsInFours {
  RowsInFours(const float* a, int64_t lda) : step(lda), step3(3 * lda) {
    asm("" : "+r"(step3));
    UNROLL for (int g = 0; g < (R + 3) / 4; ++g) {
      base[g] = a + 4 * g * lda;
      asm("" : "+r"(base[g]));
    }
  }
  const float* row(int i) const {
    const int64_t steps[] = {0, step, 2 * step, step3};
    return base[i / 4] + steps[i % 4];
  }
  void advance(int64_t by) { UNROLL for (int g = 0; g < (R + 3) / 4; ++g) base[g] += by; }
  const float* base[(R + 3) / 4];
  int64_t step, step3;
};
// What `steps` rows of the matrix add; four of them are one vector of quads.
template <int steps, int R, int W>
inline void add_quads(RowsInFours<R>& a, const float*& b, Floats quad, Floats (&sum)[R][W],
                      Floats (&folded)[R]) {
  UNROLL for (int i = 0; i < R; ++i) {
    folded[i] += (steps == 4 ? each_of_four(a.row(i)) : splat(*a.row(i))) * quad;
  }
  UNROLL for (int k = 0; k < steps; ++k) {
    Floats row[W];
    UNROLL for (int j = 0; j < W; ++j) row[j] = load(b + (k * W + j) * kWidth);
    UNROLL for (int i = 0; i < R; ++i) {
      const Floats factor = splat(a.row(i)[k]);
      UNROLL for (int j = 0; j < W; ++j) sum[i][j] += factor * row[j];
    }
  }
  a.advance(steps);
  b += steps * W * kWidth;
}
template <int R, int V>
inline void quad_tile(const Task& task, int64_t first) {
  constexpr int W = V - 1;  // whole vectors
  Floats sum[R][W], folded[R];
  float* c = task.c + first * task.ldc;
  int64_t ldc = task.ldc;
  UNROLL for (int i = 0; i < R; ++i) {
    folded[i] = splat(0.0f);
    UNROLL for (int j = 0; j < W; ++j) {
      sum[i][j] = task.add ? load(c + i * ldc + j * kWidth) : splat(0.0f);
    }
  }
  asm("" : "+r"(c), "+r"(ldc));
  const float *b = task.panel, *quad = task.quads;
  int64_t at = 0;  // row of the matrix; a quad may begin in one run and end in the next
  for (int64_t s = 0; s < task.count; ++s) {
    RowsInFours<R> a(task.runs[s].a + first * task.runs[s].stride, task.runs[s].stride);
    int64_t left = task.runs[s].depth;
    for (; at % 4 != 0 && left > 0; --left, ++at)
      add_quads<1>(a, b, load_tail(quad + at * 4, 4, 0.0f), sum, folded);
    for (; left >= 4; left -= 4, at += 4) add_quads<4>(a, b, load(quad + at * 4), sum, folded);
    for (; left > 0; --left, ++at)
      add_quads<1>(a, b, load_tail(quad + at * 4, 4, 0.0f), sum, folded);
  }
  UNROLL for (int i = 0; i < R; ++i) {
    UNROLL for (int j = 0; j < W; ++j) store(c + i * ldc + j * kWidth, sum[i][j]);
    fold_quads(c + i * ldc + W * kWidth, folded[i], task.quad_columns, task.add);
  }
}
#endif

// A tile of `rows` rows, at most R.
template <int R, int V>
void tile_of(int64_t rows, const Task& task, int64_t first) {
  if (rows == R) {
#if defined(__AVX512F__)
    if constexpr (V > 1) {
      if (task.quads != nullptr) return quad_tile<R, V>(task, first);
    }
#endif
    return tile<R, V>(task, first);
  }
  if constexpr (R > 1) tile_of<R - 1, V>(rows, task, first);
}
// One panel, cut into tiles of nearly equal height.
template <int V>
void panel(int64_t vectors, int64_t rows, const Task& task) {
  if constexpr (V > 1) {
    if (vectors < V) return panel<V - 1>(vectors, rows, task);
  }
  constexpr int kRows = tile_rows(V);
  const int64_t tiles = (rows + kRows - 1) / kRows;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t first = rows * t / tiles;
    tile_of<kRows, V>(rows * (t + 1) / tiles - first, task, first);
  }
}

struct OuterTask {
  PanelPixels pixels;
  float* dw;
  int64_t ldw;
  Columns columns;
  bool add;
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
      UNROLL for (int j = 0; j < V - 1; ++j) row[j] = load(dy + j * kWidth);
      row[V - 1] = load(dy + last);
      UNROLL for (int i = 0; i < R; ++i) {
        const Floats factor = splat(x[i]);
        UNROLL for (int j = 0; j < V; ++j) sum[i][j] += factor * row[j];
      }
    }
  }
  UNROLL for (int i = 0; i < R; ++i) store_row<V>(dw + i * ldw, task.columns, sum[i]);
}
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
        store(wide + i * kWidth, load_part(dy + i * pixels.dy_pixel, columns));
      const float* const x = pixels.x + r * pixels.x_row + p * pixels.x_pixel;
      const PanelPixels strip{x, pixels.x_pixel, 0, wide, kWidth, 0, 1, n};
      outer_panel<1>(1, m, OuterTask{strip, dw, ldw, {0, columns}, add});
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

}  // namespace

void panels_multiply(const PanelRun* runs, int64_t count, int64_t rows, const float* panels,
                     int64_t columns, float* c, int64_t ldc, bool add) {
  int64_t depth = 0;
  for (int64_t s = 0; s < count; ++s) depth += runs[s].depth;
  each_panel(columns, [&](int64_t first, int64_t vectors, const Columns& part) {
    Task task{runs, count, panels + depth * first, c + first, ldc, part, add, nullptr, 0};
    task.quad_columns = columns % kWidth;
    if (columns > kWidth && task.quad_columns > 0 && task.quad_columns <= kQuad &&
        first + vectors * kWidth > columns)
      task.quads = task.panel + depth * (vectors - 1) * kWidth;
    panel<kMostVectors>(vectors, rows, task);
  });
}

void panels_outer(const PanelPixels& pixels, int64_t m, int64_t columns, float* dw, int64_t ldw,
                  bool add) {
  if (columns < kWidth && pixels.rows > 0 && pixels.columns > 0)
    return outer_narrow(pixels, m, columns, dw, ldw, add);
  each_panel(columns, [&](int64_t first, int64_t vectors, const Columns& part) {
    OuterTask task{pixels, dw + first, ldw, part, add};
    task.pixels.dy += first;
    outer_panel<kMostVectors>(vectors, m, task);
  });
}

}  // namespace enas::ENAS_ISA_NAMESPACE
