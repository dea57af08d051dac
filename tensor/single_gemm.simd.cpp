// Kernel of tensor/single_gemm.h: the columns of a panel, all rows of A. A tile of C stays in
// registers while it runs through a block of k.
#include "tensor/simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

// As in packed_gemm.simd.cpp: every loop over a tile must be unrolled.
#if defined(__AVX512F__)
constexpr int kTileRows = 8, kSteps = 2;
#else
constexpr int kTileRows = 4, kSteps = 1;
#endif
constexpr int kTileVectors = 3;  // at most
constexpr int64_t kBlockK = kWidth == 16 ? 512 : 256;

// Floats that a packed block of a panel takes, at most.
int64_t single_gemm_block() { return kBlockK * kTileVectors * kWidth; }

namespace {

// The lines of a block's rows, asked for one by one while the block before it is computed.
struct Ahead {
  const float* line() {
    const char* const now = at;
    at += 64;
    if (--left == 0) at += pitch, left = lines;
    return reinterpret_cast<const float*>(now);
  }
  const char* at;
  int64_t left, lines, pitch;  // pitch: from behind a row's last line to the next row's first
};

// Where a tile finds its rows of B: packed already, or as stored, to be packed on the way; of the
// last vector `tail` numbers are there.
enum class From { packed, stored, stored_ragged };
// A as stored: [m x k] or, turned, [k x m].
enum class Lies { straight, turned };

// What the tiles of one block of k share, and where the next one starts.
struct Block {
  int64_t depth;
  const float* a;  // of the tile
  int64_t lda;
  const float* b;
  int64_t ldb, tail;
  float* packed;
  float* c;  // of the tile
  int64_t ldc;
  bool add;
  Ahead ahead;
  int asks;  // lines ahead, in a round of the loop
};

// C[R x V vectors] (+)= A[R x depth] B. Not inlined: among the variables of a caller it would not
// keep its registers.
template <Lies lies, From from, int R, int V>
__attribute__((noinline)) void tile(Block& block) {
  const float *a = block.a, *b = block.b;
  float *c = block.c, *packed = block.packed;
  int64_t lda = block.lda, ldc = block.ldc;
  const int64_t ldb = block.ldb, tail = block.tail;
  Floats sum[R][V];
  ENAS_UNROLL for (int i = 0; i < R; ++i) {
    ENAS_UNROLL for (int j = 0; j < V; ++j) sum[i][j] = splat(0.0f);
  }
  if (block.add) {
    ENAS_UNROLL for (int i = 0; i < R; ++i) {
      ENAS_UNROLL for (int j = 0; j < V; ++j) sum[i][j] = load(c + i * ldc + j * kWidth);
    }
  }
  const float* lower = a + 4 * lda;  // four rows have an address each of a pointer and lda
  int64_t triple = 3 * lda;
  asm("" : "+r"(c), "+r"(ldc), "+r"(triple));
  // And for the lines of C that the next tile writes.
  constexpr int64_t kLines = V * kWidth / 16 + 1;
  Ahead ahead = block.ahead,
        below{reinterpret_cast<const char*>(c + R * ldc), kLines, kLines, 4 * ldc - 64 * kLines};
  int64_t wanted = block.add ? 0 : R * kLines;
  const int asks = block.asks;
  const auto step = [&](int l) __attribute__((always_inline)) {
    Floats row[V];
    if constexpr (from == From::packed) {
      ENAS_UNROLL for (int j = 0; j < V; ++j) row[j] = load(packed + (l * V + j) * kWidth);
    } else {
      ENAS_UNROLL for (int j = 0; j < V; ++j) {
        row[j] = from == From::stored_ragged && j == V - 1 ? load_tail(b + j * kWidth, tail, 0.0f)
                                                           : load(b + j * kWidth);
        store(packed + (l * V + j) * kWidth, row[j]);
      }
      b += ldb;
    }
    ENAS_UNROLL for (int i = 0; i < R; ++i) {
      const float* const four = (i < 4 ? a : lower) + (i % 4 == 3 ? triple : i % 4 * lda);
      const Floats factor = splat(lies == Lies::straight ? four[l] : a[l * lda + i]);
      ENAS_UNROLL for (int j = 0; j < V; ++j) sum[i][j] += factor * row[j];
    }
  };
  for (int64_t left = block.depth / kSteps; left > 0; --left) {
    asm volatile("" : "+r"(a), "+r"(lower), "+r"(packed));
    for (int i = 0; i < asks; ++i) __builtin_prefetch(ahead.line(), 0, 2);
    if (wanted > 0) prefetch_for_write(below.line()), --wanted;
    step(0);
    if constexpr (kSteps == 2) step(1);
    a += lies == Lies::straight ? kSteps : kSteps * lda, lower += kSteps;
    packed += kSteps * V * kWidth;
  }
  if (block.depth % kSteps != 0) step(0);
  block.ahead = ahead;
  ENAS_UNROLL for (int i = 0; i < R; ++i) {
    ENAS_UNROLL for (int j = 0; j < V; ++j) store(c + i * ldc + j * kWidth, sum[i][j]);
  }
}

template <Lies lies, From from, int R, int V>
inline void tile_of(int64_t rows, Block& block) {
  if (rows == R) return tile<lies, from, R, V>(block);
  if constexpr (R > 1) tile_of<lies, from, R - 1, V>(rows, block);
}

// All rows of one block, in tiles of nearly equal height. A ragged panel's tiles are computed
// apart.
template <Lies lies, int V>
void rows_of(int64_t rows, int64_t columns, Block block) {
  constexpr int kColumns = V * kWidth;
  float padded[kTileRows * kColumns] __attribute__((aligned(64)));
  const bool ragged = columns < kColumns;
  const Block whole = block;
  if (ragged) block.c = padded, block.ldc = kColumns, block.add = false;
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t top = rows * t / tiles, height = rows * (t + 1) / tiles - top;
    float* const c = whole.c + top * whole.ldc;
    block.a = whole.a + (lies == Lies::straight ? top * whole.lda : top);
    if (!ragged) block.c = c;
    if (t > 0) {
      tile_of<lies, From::packed, kTileRows, V>(height, block);
    } else if (ragged) {
      tile_of<lies, From::stored_ragged, kTileRows, V>(height, block);
    } else {
      tile_of<lies, From::stored, kTileRows, V>(height, block);
    }
    if (!ragged) continue;
    for (int64_t i = 0; i < height; ++i) {
      for (int64_t j = 0; j < columns; ++j)
        c[i * whole.ldc + j] = padded[i * kColumns + j] + (whole.add ? c[i * whole.ldc + j] : 0.0f);
    }
  }
}

// One panel of `columns` columns; `next` is where the following one starts, or null.
template <Lies lies, int V>
void panel(int64_t rows, int64_t columns, int64_t k, const float* a, int64_t lda, const float* b,
           int64_t ldb, const float* next, float* packed, float* c, int64_t ldc, bool add) {
  constexpr int64_t kLines = V * kWidth / 16 + 1;  // of a row
  const int64_t blocks = k == 0 ? 1 : (k + kBlockK - 1) / kBlockK;
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows, tail = columns - (V - 1) * kWidth;
  for (int64_t p = 0; p < blocks; ++p) {
    const int64_t first = k * p / blocks, past = k * (p + 1) / blocks;
    const float* const follows = p + 1 < blocks ? b + past * ldb : next;
    const Ahead ahead{reinterpret_cast<const char*>(follows), kLines, kLines,
                      4 * ldb - 64 * kLines};
    const int64_t asks = follows == nullptr ? 0 : (kLines * kSteps + tiles - 1) / tiles;
    rows_of<lies, V>(
        rows, columns,
        {past - first, a + (lies == Lies::straight ? first : first * lda), lda, b + first * ldb,
         ldb, tail, packed, c, ldc, add || p > 0, ahead, static_cast<int>(asks)});
  }
}

}  // namespace

// All rows of C, one panel of its columns. turned: A as stored is [k x m].
void single_gemm_panel(bool turned, int vectors, int64_t rows, int64_t columns, int64_t k,
                       const float* a, int64_t lda, const float* b, int64_t ldb, const float* next,
                       float* packed, float* c, int64_t ldc, bool add) {
  constexpr Lies straight = Lies::straight;
  const auto run = vectors == 3   ? (turned ? panel<Lies::turned, 3> : panel<straight, 3>)
                   : vectors == 2 ? (turned ? panel<Lies::turned, 2> : panel<straight, 2>)
                                  : (turned ? panel<Lies::turned, 1> : panel<straight, 1>);
  run(rows, columns, k, a, lda, b, ldb, next, packed, c, ldc, add);
}

}  // namespace enas::ENAS_ISA_NAMESPACE
