#include "tensor/single_gemm.h"

#include <algorithm>

#include "tensor/check.h"
#include "tensor/packed_gemm.h"
#include "tensor/packed_panels.h"
#include "tensor/thread_pool.h"

namespace enas {

ISA_SELECT(single_gemm_block, int64_t());
ISA_SELECT(single_gemm_panel,
           void(bool turned, int vectors, int64_t rows, int64_t columns, int64_t k, const float* a,
                int64_t lda, const float* b, int64_t ldb, const float* next, float* packed,
                float* c, int64_t ldc, bool add));

namespace {

// C^T = B A^T: the rows of B, as stored, are the ones that pass over the few columns of A^T, which
// is packed; tiles of it are turned on their way to C.
void multiply_turned(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
                     int64_t ldb, bool add, float* c, int64_t ldc) {
  const PackedMatrix turned(true, k, m, a, lda);
  packed_gemm_tiles(n, b, ldb, turned, 0, [=](const ProductTile& tile) {
    for (int64_t j = 0; j < tile.columns; ++j) {
      float* const to = c + (tile.column + j) * ldc + tile.row;
      for (int64_t i = 0; i < tile.rows; ++i)
        to[i] = tile.values[i * tile.stride + j] + (add ? to[i] : 0.0f);
    }
  });
}

}  // namespace

bool single_gemm_suits(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k) {
  constexpr int64_t kFewest = 16, kWide = 64, kManyRows = 256, kLong = 128;
  constexpr int64_t kWidest = int64_t{1} << 19;  // a chunk a panel, of which the pool takes 0xffff
  constexpr int64_t kWorth = int64_t{1} << 20, kWorthTurned = int64_t{1} << 22;  // multiply-adds
  if (m < kFewest || n < kWide || n > kWidest || m * n < kWorth / std::max<int64_t>(k, 1))
    return false;
  // Rows of A^T are read a tile's width at a time, and from end to end for each panel of B.
  if (transpose_a) return !transpose_b && k >= kFewest && k <= kLong && isa() == Isa::avx512;
  if (transpose_b && m * n < kWorthTurned / std::max<int64_t>(k, 1)) return false;
  return m < kManyRows && k >= kWide;
}

void single_gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                 const float* a, int64_t lda, const float* b, int64_t ldb, bool add, float* c,
                 int64_t ldc) {
  check(!(transpose_a && transpose_b), "single product", "takes one transposed matrix, not both");
  if (m == 0 || n == 0) return;
  if (k == 0) {  // an empty sum; A and B may be null
    for (int64_t i = 0; i < m && !add; ++i) std::fill_n(c + i * ldc, n, 0.0f);
    return;
  }
  if (transpose_b) return multiply_turned(m, n, k, a, lda, b, ldb, add, c, ldc);
  const Panels panels(n);
  parallel_chunks(static_cast<int>(panels.count), [&](int p) {
    Tensor packed({single_gemm_block()});
    const int64_t first = panels.first(p);
    single_gemm_panel(transpose_a, static_cast<int>(panels.padded(p) / panels.width), m,
                      panels.used(p), k, a, lda, b + first, ldb,
                      p + 1 < panels.count ? b + panels.first(p + 1) : nullptr,
                      packed.data<float>(), c + first, ldc, add);
  });
}

}  // namespace enas
