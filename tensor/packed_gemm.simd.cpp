// One panel of tensor/packed_gemm.h: C[rows x columns] (+)= A[rows x k] P, P k rows of `vectors`
// vectors. A tile of C stays in registers while it runs through a block of k; the block of the
// panel stays in the first cache while all rows of A pass over it.
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

// Rows and vectors of a register tile. Every loop over it must be unrolled: one that is not spills
// the accumulators, and the kernel is several times slower.
#if defined(__AVX512F__)
constexpr int kTileRows = 8, kTileVectors = 3;  // of 32 registers
#else
constexpr int kTileRows = 4, kTileVectors = 3;  // of 16
#endif
#define UNROLL _Pragma("GCC unroll 16")

// Rows of a block: 24 KiB of a panel of AVX-512 and AVX2.
constexpr int64_t kBlockK = kWidth == 16 ? 128 : 256;
constexpr int64_t kRowGroup = 64;

void packed_gemm_geometry(int* width, int* vectors) {
  *width = kWidth;
  *vectors = kTileVectors;
}

// C[R x V vectors] (+)= A[R x k] of a block of the panel. Each step of k asks for a line `stride`
// bytes further on from `ahead`: the next block, which comes from memory, is spread over the tiles
// of this one. Asked for at once it would take the few places that a core has for missing lines.
template <int R, int V>
inline void tile(int64_t k, const float* a, int64_t lda, const float* b, float* c, int64_t ldc,
                 bool add, const char* ahead, int64_t stride) {
  Floats sum[R][V];
  UNROLL for (int i = 0; i < R; ++i) { UNROLL for (int j = 0; j < V; ++j) sum[i][j] = splat(0.0f); }
  if (add) {
    UNROLL for (int i = 0; i < R; ++i) {
      UNROLL for (int j = 0; j < V; ++j) sum[i][j] = load(c + i * ldc + j * kWidth);
    }
  }
  // Otherwise the addresses of all rows are kept over the loop, on the stack.
  asm("" : "+r"(c), "+r"(ldc));
  for (int64_t l = 0; l < k; ++l) {
    __builtin_prefetch(ahead + l * stride, 0, 2);
    Floats row[V];
    UNROLL for (int j = 0; j < V; ++j) row[j] = load(b + (l * V + j) * kWidth);
    UNROLL for (int i = 0; i < R; ++i) {
      const Floats factor = splat(a[i * lda + l]);
      UNROLL for (int j = 0; j < V; ++j) sum[i][j] += factor * row[j];
    }
  }
  UNROLL for (int i = 0; i < R; ++i) {
    UNROLL for (int j = 0; j < V; ++j) store(c + i * ldc + j * kWidth, sum[i][j]);
  }
}

// The tile of `rows` rows, at most R.
template <int R, int V>
inline void tile_of(int64_t rows, int64_t k, const float* a, int64_t lda, const float* b, float* c,
                    int64_t ldc, bool add, const char* ahead, int64_t stride) {
  if (rows == R) return tile<R, V>(k, a, lda, b, c, ldc, add, ahead, stride);
  if constexpr (R > 1) tile_of<R - 1, V>(rows, k, a, lda, b, c, ldc, add, ahead, stride);
}

// Rows of one group, all columns of the panel: cut into tiles of nearly equal height.
template <int V>
void group(int64_t rows, int64_t k, const float* a, int64_t lda, const float* b, float* c,
           int64_t ldc, bool add) {
  const int64_t blocks = k == 0 ? 1 : (k + kBlockK - 1) / kBlockK;  // none would write nothing
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  for (int64_t p = 0; p < blocks; ++p) {
    const int64_t from = k * p / blocks, depth = k * (p + 1) / blocks - from;
    const char* const next = reinterpret_cast<const char*>(b + (from + depth) * V * kWidth);
    const int64_t stride = (V * kWidth * 4 + tiles - 1) / tiles;
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t first = rows * t / tiles, height = rows * (t + 1) / tiles - first;
      tile_of<kTileRows, V>(height, depth, a + first * lda + from, lda, b + from * V * kWidth,
                            c + first * ldc, ldc, add || p > 0, next + t * stride * depth, stride);
    }
  }
}

template <int V>
void panel(int64_t rows, int64_t columns, int64_t k, const float* a, int64_t lda, const float* b,
           float* c, int64_t ldc, bool add) {
  constexpr int kColumns = V * kWidth;
  float padded[kRowGroup * kColumns] __attribute__((aligned(64)));
  for (int64_t r = 0; r < rows; r += kRowGroup) {
    const int64_t height = rows - r < kRowGroup ? rows - r : kRowGroup;
    const float* from = a + r * lda;
    float* to = c + r * ldc;
    if (columns == kColumns) {
      group<V>(height, k, from, lda, b, to, ldc, add);
      continue;
    }
    group<V>(height, k, from, lda, b, padded, kColumns, false);
    for (int64_t i = 0; i < height; ++i) {
      for (int64_t j = 0; j < columns; ++j)
        to[i * ldc + j] = padded[i * kColumns + j] + (add ? to[i * ldc + j] : 0.0f);
    }
  }
}

template <int V>
void panel_of(int vectors, int64_t rows, int64_t columns, int64_t k, const float* a, int64_t lda,
              const float* b, float* c, int64_t ldc, bool add) {
  if (vectors == V) return panel<V>(rows, columns, k, a, lda, b, c, ldc, add);
  if constexpr (V > 1) panel_of<V - 1>(vectors, rows, columns, k, a, lda, b, c, ldc, add);
}

void packed_gemm_panel(int vectors, int64_t rows, int64_t columns, int64_t k, const float* a,
                       int64_t lda, const float* b, float* c, int64_t ldc, bool add) {
  panel_of<kTileVectors>(vectors, rows, columns, k, a, lda, b, c, ldc, add);
}

}  // namespace enas::ENAS_ISA_NAMESPACE
