// Products by panels (ops/panels.h): tiles of rows of a and all columns of a panel.
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "ops/panel_tiles.simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

void panels_geometry(int* width, int* vectors) {
  *width = kWidth;
  *vectors = kMostVectors;
}
// At most half a vector, as 8 of 72 columns or 4 of 36, would fill it badly. To fold the sums costs
// more than it saves where the matrix has few rows.
int64_t panels_fold(int64_t columns, int64_t depth) {
  constexpr int64_t kFours = 8, kTwos = 128;
  const int64_t rest = columns % kWidth;
  if (kWidth < 16 || columns < kWidth || rest == 0 || rest > 8) return 1;
  if (rest <= 4) return depth >= kFours ? 4 : 1;
  return depth >= kTwos ? 2 : 1;
}

namespace {

// What the tiles of one panel share.
struct Task {
  const PanelRun* runs;
  int64_t count;
  const float* panel;
  float* c;
  int64_t ldc;
  Columns columns;
  bool add;
  const float* folds;  // vectors of the last columns, `fold` rows in each; null: none
  int64_t fold, fold_columns;
};

// Rows of a in fours: an address needs a base and a step, and few registers hold all.
template <int R>
struct RowsInFours {
  RowsInFours(const float* a, int64_t lda) : step(lda), step3(3 * lda) {
    asm("" : "+r"(step3));
    ENAS_UNROLL for (int g = 0; g < (R + 3) / 4; ++g) {
      base[g] = a + 4 * g * lda;
      asm("" : "+r"(base[g]));
    }
  }
  const float* row(int i) const {
    const int64_t steps[] = {0, step, 2 * step, step3};
    return base[i / 4] + steps[i % 4];
  }
  void advance(int64_t by) { ENAS_UNROLL for (int g = 0; g < (R + 3) / 4; ++g) base[g] += by; }
  const float* base[(R + 3) / 4];
  int64_t step, step3;
};

// Rows [first, first + R), all columns of the panel.
template <int R, int V>
inline void tile(const Task& task, int64_t first) {
  constexpr int kSteps = kWidth == 16 ? 2 : 1;  // in a round: 1.02 to 1.05 times, or it spills
  Floats sum[R][V];
  float* c = task.c + first * task.ldc;
  int64_t ldc = task.ldc;
  begin(c, ldc, task.columns, task.add, sum);
  // Otherwise the addresses of all rows are kept over the loop, on the stack.
  asm("" : "+r"(c), "+r"(ldc));
  const float* b = task.panel;
  for (int64_t s = 0; s < task.count; ++s) {
    const int64_t lda = task.runs[s].stride, depth = task.runs[s].depth;
    if (task.runs[s].a == nullptr) {
      b += depth * V * kWidth;
      continue;
    }
    RowsInFours<R> a(task.runs[s].a + first * lda, lda);
    const auto step = [&](int k) __attribute__((always_inline)) {
      Floats row[V];
      ENAS_UNROLL for (int j = 0; j < V; ++j) row[j] = load(b + (k * V + j) * kWidth);
      ENAS_UNROLL for (int i = 0; i < R; ++i) {
        const Floats factor = splat(a.row(i)[k]);
        ENAS_UNROLL for (int j = 0; j < V; ++j) sum[i][j] += factor * row[j];
      }
    };
    for (int64_t left = depth / kSteps; left > 0; --left) {
      step(0);
      if constexpr (kSteps == 2) step(1);
      a.advance(kSteps), b += kSteps * V * kWidth;
    }
    if (depth % kSteps != 0) step(0), b += V * kWidth;
  }
  ENAS_UNROLL for (int i = 0; i < R; ++i) store_row<V>(c + i * ldc, task.columns, sum[i]);
}

#if defined(__AVX512F__)
// The columns past whole vectors: with F = 4 a vector holds at most four of them for four rows of
// the matrix, lane F column + k % F, with F = 2 at most eight for two rows. Its sums are folded at
// the end. Adds to four rows of c, or fewer.
template <int F, int R>
inline void fold_rows(float* c, int64_t ldc, const Floats (&folded)[R], int from, int64_t columns,
                      bool add) {
  if constexpr (F == 4) {
    Floats four[4];
    ENAS_UNROLL for (int i = 0; i < 4; ++i) four[i] = from + i < R ? folded[from + i] : splat(0.0f);
    const __m512 sums = sums_of_fours(four);
    const auto mask = static_cast<__mmask8>((1 << columns) - 1);
    const __m128 rows[] = {
        _mm512_maskz_extractf32x4_ps(0xf, sums, 0), _mm512_maskz_extractf32x4_ps(0xf, sums, 1),
        _mm512_maskz_extractf32x4_ps(0xf, sums, 2), _mm512_maskz_extractf32x4_ps(0xf, sums, 3)};
    ENAS_UNROLL for (int i = 0; i < 4; ++i) {
      if (from + i >= R) continue;
      float* const to = c + (from + i) * ldc;
      _mm_mask_storeu_ps(to, mask, add ? _mm_maskz_loadu_ps(mask, to) + rows[i] : rows[i]);
    }
  } else {
    const auto mask = static_cast<__mmask16>((1 << columns) - 1);
    ENAS_UNROLL for (int i = 0; i < 4; ++i) {
      if (from + i >= R) continue;
      const Floats row = sums_of_twos(folded[from + i]);
      float* const to = c + (from + i) * ldc;
      _mm512_mask_storeu_ps(to, mask, add ? _mm512_maskz_loadu_ps(mask, to) + row : row);
    }
  }
}

// What `steps` rows of the matrix add, whole folds of them or one row.
template <int F, int steps, int R, int W>
inline void add_rows(RowsInFours<R>& a, const float*& b, const Floats (&few)[(steps + F - 1) / F],
                     Floats (&sum)[R][W], Floats (&folded)[R]) {
  ENAS_UNROLL for (int k = 0; k < steps; k += F) {
    ENAS_UNROLL for (int i = 0; i < R; ++i) {
      const float* const row = a.row(i) + k;
      folded[i] += (steps >= F ? few_of_each<F>(row) : splat(*row)) * few[k / F];
    }
  }
  ENAS_UNROLL for (int k = 0; k < steps; ++k) {
    Floats row[W];
    ENAS_UNROLL for (int j = 0; j < W; ++j) row[j] = load(b + (k * W + j) * kWidth);
    ENAS_UNROLL for (int i = 0; i < R; ++i) {
      const Floats factor = splat(a.row(i)[k]);
      ENAS_UNROLL for (int j = 0; j < W; ++j) sum[i][j] += factor * row[j];
    }
  }
  a.advance(steps);
  b += steps * W * kWidth;
}
template <int F, int R, int V>
inline void folded_tile(const Task& task, int64_t first) {
  constexpr int W = V - 1;  // whole vectors
  Floats sum[R][W], folded[R];
  float* c = task.c + first * task.ldc;
  int64_t ldc = task.ldc;
  ENAS_UNROLL for (int i = 0; i < R; ++i) {
    folded[i] = splat(0.0f);
    ENAS_UNROLL for (int j = 0; j < W; ++j) {
      sum[i][j] = task.add ? load(c + i * ldc + j * kWidth) : splat(0.0f);
    }
  }
  asm("" : "+r"(c), "+r"(ldc));
  const float *b = task.panel, *few = task.folds;
  int64_t at = 0;  // row of the matrix; a fold may begin in one run and end in the next
  for (int64_t s = 0; s < task.count; ++s) {
    int64_t left = task.runs[s].depth;
    if (task.runs[s].a == nullptr) {
      at += left, b += left * W * kWidth;
      continue;
    }
    RowsInFours<R> a(task.runs[s].a + first * task.runs[s].stride, task.runs[s].stride);
    const auto one_row = [&] {
      const auto lanes = static_cast<__mmask16>((F == 4 ? 0x1111 : 0x5555) << at % F);
      add_rows<F, 1>(a, b, {_mm512_maskz_loadu_ps(lanes, few + at / F * kWidth)}, sum, folded);
      --left, ++at;
    };
    while (at % F != 0 && left > 0) one_row();
    for (; left >= 4; left -= 4, at += 4) {
      Floats four[4 / F];
      ENAS_UNROLL for (int k = 0; k < 4 / F; ++k) four[k] = load(few + (at / F + k) * kWidth);
      add_rows<F, 4>(a, b, four, sum, folded);
    }
    while (left > 0) one_row();
  }
  ENAS_UNROLL for (int i = 0; i < R; ++i) {
    ENAS_UNROLL for (int j = 0; j < W; ++j) store(c + i * ldc + j * kWidth, sum[i][j]);
  }
  ENAS_UNROLL for (int i = 0; i < R; i += 4)
      fold_rows<F>(c + W * kWidth, ldc, folded, i, task.fold_columns, task.add);
}
#endif

// A tile of `rows` rows, at most R.
template <int R, int V>
void tile_of(int64_t rows, const Task& task, int64_t first) {
  if (rows == R) {
#if defined(__AVX512F__)
    if constexpr (V > 1) {
      if (task.folds != nullptr && task.fold == 4) return folded_tile<4, R, V>(task, first);
      if (task.folds != nullptr) return folded_tile<2, R, V>(task, first);
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

}  // namespace

void panels_multiply(const PanelRun* runs, int64_t count, int64_t rows, const float* panels,
                     int64_t columns, float* c, int64_t ldc, bool add) {
  int64_t depth = 0;
  for (int64_t s = 0; s < count; ++s) depth += runs[s].depth;
  each_panel(columns, [&](int64_t first, int64_t vectors, const Columns& part) {
    Task task{runs, count, panels + depth * first, c + first, ldc, part, add, nullptr, 0, 0};
    task.fold = panels_fold(columns, depth), task.fold_columns = columns % kWidth;
    if (task.fold > 1 && first + vectors * kWidth > columns)
      task.folds = task.panel + depth * (vectors - 1) * kWidth;
    panel<kMostVectors>(vectors, rows, task);
  });
}

}  // namespace enas::ENAS_ISA_NAMESPACE
