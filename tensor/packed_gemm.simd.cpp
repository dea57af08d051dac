// Kernels of tensor/packed_gemm.h and tensor/stacked_gemm.h: one panel of `vectors` vectors of
// columns. A tile of C stays in registers while it runs through a block of k; the block of the
// panel stays in the caches while all rows of A pass over it.
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

// Rows and vectors of a register tile. Every loop over it must be unrolled: one that is not spills
// the accumulators, and the kernel is several times slower.
#if defined(__AVX512F__)
constexpr int kTileRows = 8, kTileVectors = 3;  // of 32 registers
constexpr int kSteps = 2;                       // of k, in a round of the loop
#else
constexpr int kTileRows = 4, kTileVectors = 3;  // of 16
constexpr int kSteps = 1;                       // two would spill
#endif

// Rows of a block: 96 KiB of a panel of AVX-512, 24 KiB of AVX2. With two 512-bit FMAs a cycle a
// tile comes as fast from the second cache as from the first, and long blocks have fewer tiles.
constexpr int64_t kBlockK = kWidth == 16 ? 512 : 256;
constexpr int64_t kStackBlock = kWidth == 16 ? 128 : 256;
constexpr int64_t kRowGroup = 64;

void packed_gemm_geometry(int* width, int* vectors) {
  *width = kWidth;
  *vectors = kTileVectors;
}

// How A lies: its rows, `lda` apart; or a tile of R rows by itself, R numbers for each k.
enum class Lies { in_rows, in_tiles };

// C[R x V vectors] (+)= A[R x k] of a block of the panel. Each round of the loop asks for the line
// `stride` bytes a step further on from `ahead`: what comes next, from memory, is spread over the
// tiles of this block. Asked for at once it would take the few places that a core has for missing
// lines. Not inlined: among the variables of a caller it would not keep its registers.
template <Lies lies, int R, int V>
__attribute__((noinline)) void tile(int64_t k, const float* a, int64_t lda, const float* b,
                                    float* c, int64_t ldc, bool add, const char* ahead,
                                    int64_t stride) {
  Floats sum[R][V];
  ENAS_UNROLL for (int i = 0; i < R; ++i) {
    ENAS_UNROLL for (int j = 0; j < V; ++j) sum[i][j] = splat(0.0f);
  }
  if (add) {
    ENAS_UNROLL for (int i = 0; i < R; ++i) {
      ENAS_UNROLL for (int j = 0; j < V; ++j) sum[i][j] = load(c + i * ldc + j * kWidth);
    }
  }
  // Four rows have an address each of a pointer and three multiples of lda. Otherwise the compiler
  // keeps the addresses of all rows, and those of C over the loop, more than it has registers for.
  const float* lower = a + 4 * lda;
  int64_t triple = 3 * lda;
  asm("" : "+r"(c), "+r"(ldc), "+r"(triple));
  const auto step = [&](int l) __attribute__((always_inline)) {
    Floats row[V];
    ENAS_UNROLL for (int j = 0; j < V; ++j) row[j] = load(b + (l * V + j) * kWidth);
    ENAS_UNROLL for (int i = 0; i < R; ++i) {
      const float* const four = (i < 4 ? a : lower) + (i % 4 == 3 ? triple : i % 4 * lda);
      const Floats factor = splat(lies == Lies::in_rows ? four[l] : a[l * R + i]);
      ENAS_UNROLL for (int j = 0; j < V; ++j) sum[i][j] += factor * row[j];
    }
  };
  constexpr int kStride = lies == Lies::in_rows ? 1 : R, kLine = 16;
  static_assert(kSteps == 1 || kSteps * kTileRows == kLine);
  const auto round = [&]() __attribute__((always_inline)) {
    asm volatile("" : "+r"(a), "+r"(lower), "+r"(b));
    __builtin_prefetch(ahead, 0, 2);
    step(0);
    if constexpr (kSteps == 2) step(1);
    a += kSteps * kStride, lower += kSteps * kStride;
    b += kSteps * V * kWidth, ahead += kSteps * stride;
  };
  if constexpr (lies == Lies::in_rows && kSteps == 2) {
    // And for the rows of the next tile, to the second cache: half of A was written by another
    // core. In the first they would take the place of the panel. The lines of C that the tile will
    // write come meanwhile, too, unless C is a tile by itself and so in the first cache.
    const float *rows = a + R * lda, *own = c;
    for (int line = add || ldc == V * kWidth ? V : 0; k >= kLine;
         k -= kLine, rows += kLine - kTileRows * lda) {
      const bool owns = line++ < V;
      for (int i = 0; i < kTileRows; ++i, rows += lda) {
        asm volatile("" : "+r"(rows));
        if (owns) prefetch_for_write(own), own += ldc;
        __builtin_prefetch(rows, 0, 2);
        round();
      }
      if (owns) own += kWidth - kTileRows * ldc;
    }
  }
  for (int64_t left = k / kSteps; left > 0; --left) round();
  if (k % kSteps != 0) step(0);
  ENAS_UNROLL for (int i = 0; i < R; ++i) {
    ENAS_UNROLL for (int j = 0; j < V; ++j) store(c + i * ldc + j * kWidth, sum[i][j]);
  }
}

// The tile of `rows` rows, at most R.
template <Lies lies, int R, int V>
inline void tile_of(int64_t rows, int64_t k, const float* a, int64_t lda, const float* b, float* c,
                    int64_t ldc, bool add, const char* ahead, int64_t stride) {
  if (rows == R) return tile<lies, R, V>(k, a, lda, b, c, ldc, add, ahead, stride);
  if constexpr (R > 1) tile_of<lies, R - 1, V>(rows, k, a, lda, b, c, ldc, add, ahead, stride);
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
      tile_of<Lies::in_rows, kTileRows, V>(height, depth, a + first * lda + from, lda,
                                           b + from * V * kWidth, c + first * ldc, ldc,
                                           add || p > 0, next + t * stride * depth, stride);
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

void stacked_gemm_geometry(int64_t* tile_rows, int64_t* block_rows) {
  *tile_rows = kTileRows;
  *block_rows = kStackBlock;
}

// Rows [at, at + rows) of a block of rows get a[rows x m], in tiles of nearly equal width, `pitch`
// floats apart. Row by row, as they lie in memory: what a core reads ahead by itself is then of
// use.
void stacked_gemm_tiles(int64_t rows, int64_t m, const float* a, int64_t lda, int64_t at,
                        int64_t pitch, float* to) {
  const int64_t tiles = (m + kTileRows - 1) / kTileRows;
  for (int64_t l = at; l < at + rows; ++l, a += lda) {
    if (m % kTileRows == 0) {
      float* out = to + l * kTileRows;
      for (int64_t j = 0; j < m; j += kTileRows, out += pitch) {
        ENAS_UNROLL for (int i = 0; i < kTileRows; ++i) out[i] = a[j + i];
      }
      continue;
    }
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t first = m * t / tiles, height = m * (t + 1) / tiles - first;
      for (int64_t i = 0; i < height; ++i) to[t * pitch + l * height + i] = a[first + i];
    }
  }
}

// Rows of a panel get b[rows x columns], `padded` numbers a row, zeros behind the last column.
void stacked_gemm_panel(int64_t rows, int64_t columns, int64_t padded, const float* b, int64_t ldb,
                        float* to) {
  for (int64_t l = 0; l < rows; ++l, b += ldb, to += padded) {
    int64_t j = 0;
    for (; j + kWidth <= columns; j += kWidth) store(to + j, load(b + j));
    for (; j < padded; ++j) to[j] = j < columns ? b[j] : 0.0f;
  }
}

template <int V>
void stacked(int64_t m, int64_t columns, int64_t k, const float* a, int64_t pitch, const float* b,
             float* c, int64_t ldc, bool add, const char* const* ahead, int64_t ahead_bytes) {
  constexpr int kColumns = V * kWidth;
  float padded[kTileRows * kColumns] __attribute__((aligned(64)));
  const int64_t tiles = (m + kTileRows - 1) / kTileRows, stride = (ahead_bytes + k - 1) / k;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t first = m * t / tiles, height = m * (t + 1) / tiles - first;
    float* const to = c + first * ldc;
    if (columns == kColumns) {
      tile_of<Lies::in_tiles, kTileRows, V>(height, k, a + t * pitch, 0, b, to, ldc, add, ahead[t],
                                            stride);
      continue;
    }
    tile_of<Lies::in_tiles, kTileRows, V>(height, k, a + t * pitch, 0, b, padded, kColumns, false,
                                          ahead[t], stride);
    for (int64_t i = 0; i < height; ++i) {
      for (int64_t j = 0; j < columns; ++j)
        to[i * ldc + j] = padded[i * kColumns + j] + (add ? to[i * ldc + j] : 0.0f);
    }
  }
}

template <int V>
void stacked_of(int vectors, int64_t m, int64_t columns, int64_t k, const float* a, int64_t pitch,
                const float* b, float* c, int64_t ldc, bool add, const char* const* ahead,
                int64_t ahead_bytes) {
  if (vectors == V) return stacked<V>(m, columns, k, a, pitch, b, c, ldc, add, ahead, ahead_bytes);
  if constexpr (V > 1)
    stacked_of<V - 1>(vectors, m, columns, k, a, pitch, b, c, ldc, add, ahead, ahead_bytes);
}

// C[m x columns] (+)= A^T B of one block of `k` rows: A in tiles, `pitch` floats apart, B a panel.
// While tile t is computed, `ahead_bytes` from ahead[t] on are asked for.
void stacked_gemm_block(int vectors, int64_t m, int64_t columns, int64_t k, const float* a,
                        int64_t pitch, const float* b, float* c, int64_t ldc, bool add,
                        const char* const* ahead, int64_t ahead_bytes) {
  stacked_of<kTileVectors>(vectors, m, columns, k, a, pitch, b, c, ldc, add, ahead, ahead_bytes);
}

}  // namespace enas::ENAS_ISA_NAMESPACE
