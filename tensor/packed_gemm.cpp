#include "tensor/packed_gemm.h"

#include <algorithm>

#include "tensor/check.h"
#include "tensor/panels.h"
#include "tensor/thread_pool.h"

namespace enas {

ISA_SELECT(packed_gemm_panel,
           void(int vectors, int64_t rows, int64_t columns, int64_t k, const float* a, int64_t lda,
                const float* b, float* c, int64_t ldc, bool add));

namespace {

// Columns [first, first + columns) of op(B), `padded` floats a row, zeros behind the last column.
void pack_panel(bool transpose, int64_t k, const float* b, int64_t ldb, int64_t columns,
                int64_t padded, float* to) {
  if (!transpose) {
    for (int64_t l = 0; l < k; ++l, to += padded) {
      std::copy_n(b + l * ldb, columns, to);
      std::fill(to + columns, to + padded, 0.0f);
    }
    return;
  }
  constexpr int64_t kStrip = 16;  // a cache line of each stored row at a time
  for (int64_t l = 0; l < k; l += kStrip) {
    const int64_t depth = std::min(kStrip, k - l);
    for (int64_t j = 0; j < columns; ++j) {
      __builtin_prefetch(b + j * ldb + l + 2 * kStrip);
      for (int64_t i = 0; i < depth; ++i) to[(l + i) * padded + j] = b[j * ldb + l + i];
    }
    for (int64_t i = l; i < l + depth; ++i)
      std::fill(to + i * padded + columns, to + (i + 1) * padded, 0.0f);
  }
}

// Chunks of C: `down` groups of rows times `across` groups of panels, each computed in `pieces` of
// k.
struct Cut {
  int64_t down, across, pieces;
};
Cut cut_of(int64_t m, int64_t n, int64_t k, int64_t panels) {
  // Of many rows a group's part of A fills a good part of the second cache, and the panels pass
  // over it. A long k goes in pieces for that; then a chunk has many panels, to reuse its piece.
  constexpr int64_t kFewRows = 64, kManyRows = 256, kLongK = 1024, kFewestChunks = 16;
  constexpr int64_t kWorth = int64_t{1} << 18;  // multiply-adds: some microseconds of work
  constexpr int64_t kMostDown = 1024, kMostChunks = 0xffff;
  const int64_t height = m <= kManyRows ? kFewRows : kManyRows;
  const int64_t down = std::min((m + height - 1) / height, kMostDown);
  if (k > kLongK && m > kManyRows) {
    return {down, std::min((kFewestChunks + down - 1) / down, panels), (k + kLongK - 1) / kLongK};
  }
  const int64_t worth = std::max<int64_t>(m * n * k / (down * panels), 1);  // of a panel
  const int64_t each = std::clamp<int64_t>(kWorth / worth, 1, panels);
  return {down, std::min((panels + each - 1) / each, kMostChunks / down), 1};
}

}  // namespace

PackedMatrix::PackedMatrix(bool transpose, int64_t k, int64_t n, const float* b, int64_t ldb)
    : k_(k), n_(n), isa_(enas::isa()) {
  const Panels panels(n);
  panels_ = Tensor({k * panels.total * panels.width});
  float* const to = panels_.data<float>();
  parallel_chunks(static_cast<int>(panels.count), [&](int p) {
    const int64_t first = panels.first(p);
    pack_panel(transpose, k, b + (transpose ? first * ldb : first), ldb, panels.used(p),
               panels.padded(p), to + k * first);
  });
}

void packed_gemm(int64_t m, const float* a, int64_t lda, const PackedMatrix& b, bool add, float* c,
                 int64_t ldc) {
  check(b.defined(), "packed product", "matrix is not packed; make a PackedMatrix of it first");
  check(b.isa() == isa(), "packed product", "matrix was packed for ", name_of(b.isa()), ", now ",
        name_of(isa()), " is chosen; pack it again");
  const int64_t k = b.rows(), n = b.columns();
  if (m == 0 || n == 0) return;
  const Panels panels(n);
  const Cut cut = cut_of(m, n, k, panels.count);
  parallel_chunks(static_cast<int>(cut.across * cut.down), [&](int chunk) {
    const int64_t group = chunk / cut.across, part = chunk % cut.across;
    const int64_t top = m * group / cut.down, rows = m * (group + 1) / cut.down - top;
    const int64_t begin = panels.count * part / cut.across,
                  end = panels.count * (part + 1) / cut.across;
    for (int64_t piece = 0; piece < cut.pieces; ++piece) {
      const int64_t from = k * piece / cut.pieces, depth = k * (piece + 1) / cut.pieces - from;
      for (int64_t p = begin; p < end; ++p) {
        const int64_t first = panels.first(p), padded = panels.padded(p);
        packed_gemm_panel(static_cast<int>(padded / panels.width), rows, panels.used(p), depth,
                          a + top * lda + from, lda, b.panels() + k * first + from * padded,
                          c + top * ldc + first, ldc, add || piece > 0);
      }
    }
  });
}

}  // namespace enas
