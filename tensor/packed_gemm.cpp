#include "tensor/packed_gemm.h"

#include <algorithm>

#include "tensor/check.h"
#include "tensor/packed_panels.h"
#include "tensor/thread_pool.h"

namespace enas {

ISA_SELECT(packed_gemm_panel,
           void(int vectors, int64_t rows, int64_t columns, int64_t k, const float* a, int64_t lda,
                const float* b, float* c, int64_t ldc, bool add));

namespace {

// Columns of op(B) from b on, `padded` floats a row with zeros behind the last column, rows `pitch`
// apart.
void pack_panel(bool transpose, int64_t k, const float* b, int64_t ldb, int64_t columns,
                int64_t padded, int64_t pitch, float* to) {
  if (!transpose) {
    for (int64_t l = 0; l < k; ++l, to += pitch) {
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
      for (int64_t i = 0; i < depth; ++i) to[(l + i) * pitch + j] = b[j * ldb + l + i];
    }
    for (int64_t i = l; i < l + depth; ++i)
      std::fill(to + i * pitch + columns, to + i * pitch + padded, 0.0f);
  }
}

constexpr int64_t kBlock = 64;  // rows that pass over a panel together
constexpr int64_t kFewRows = 256;

// Chunks of C: `down` groups of whole blocks of rows times `across` ranges of panels, each computed
// in `pieces` of k.
struct Cut {
  int64_t rows, down, across, pieces;
  int64_t top(int64_t group) const {
    return std::min((rows + kBlock - 1) / kBlock * group / down * kBlock, rows);
  }
};
Cut cut_of(int64_t m, int64_t n, int64_t k, int64_t panels) {
  // Of many rows a group's part of A fills a good part of the second cache, and the panels pass
  // over it. A long k goes in pieces for that; then a chunk has many panels, to reuse its piece.
  constexpr int64_t kManyRows = 256, kLongK = 1024, kFewestChunks = 16;
  constexpr int64_t kWorth = int64_t{1} << 18;  // multiply-adds: some microseconds of work
  constexpr int64_t kMostDown = 1024, kMostChunks = 0xffff;
  const int64_t height = m <= kFewRows ? kBlock : kManyRows;
  const int64_t down = std::min((m + height - 1) / height, kMostDown);
  if (k > kLongK && m > kFewRows) {
    return {m, down, std::min((kFewestChunks + down - 1) / down, panels),
            (k + kLongK - 1) / kLongK};
  }
  const int64_t worth = std::max<int64_t>(m * n * k / (down * panels), 1);  // of a panel
  const int64_t each = std::clamp<int64_t>(kWorth / worth, 1, panels);
  return {m, down, std::min((panels + each - 1) / each, kMostChunks / down), 1};
}
// The same in given ranges of panels, k whole.
Cut cut_in_ranges(int64_t m, int64_t k, int64_t panels, int64_t ranges) {
  constexpr int64_t kGroup = int64_t{1} << 18;  // floats of A: half of the second cache
  constexpr int64_t kMostDown = 1024, kMostAcross = 63;
  const int64_t blocks = std::clamp<int64_t>(kGroup / kBlock / std::max<int64_t>(k, 1), 1, 4);
  const int64_t height = m <= kFewRows ? kBlock : kBlock * blocks;
  return {m, std::min((m + height - 1) / height, kMostDown),
          std::min({ranges, panels, kMostAcross}), 1};
}

void check_packed(const PackedMatrix& b) {
  check(b.defined(), "packed product", "matrix is not packed; make a PackedMatrix of it first");
  check(b.isa() == isa(), "packed product", "matrix was packed for ", name_of(b.isa()), ", now ",
        name_of(isa()), " is chosen; pack it again");
}

}  // namespace

PackedMatrix::PackedMatrix(bool transpose, int64_t k, int64_t n, const float* b, int64_t ldb,
                           int parts)
    : k_(k), n_(n), parts_(parts), isa_(enas::isa()) {
  check((parts == 1 || parts == 2 || parts == 4) && n % parts == 0, "packed product", n,
        " columns cannot be packed in ", parts, " parts");
  const Panels panels(n, parts);
  panels_ = Tensor({k * panels.total * panels.width * parts});
  float* const to = panels_.data<float>();
  const auto pack = [&](int64_t p, int64_t from, int64_t depth) {
    const int64_t first = panels.first(p), padded = panels.padded(p), pitch = padded * parts;
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t column = part * panels.columns + first;
      pack_panel(transpose, depth, b + (transpose ? column * ldb + from : from * ldb + column), ldb,
                 panels.used(p), padded, pitch,
                 to + (k * first + from * padded) * parts + part * padded);
    }
  };
  if (transpose) {
    parallel_chunks(static_cast<int>(panels.count), [&](int p) { pack(p, 0, k); });
    return;
  }
  // A few stored rows at a time, from end to end: what a core asks for ahead is then of use.
  constexpr int64_t kRows = 8;
  parallel_for((k + kRows - 1) / kRows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t from = begin * kRows; from < std::min(end * kRows, k); from += kRows) {
      for (int64_t p = 0; p < panels.count; ++p) pack(p, from, std::min(kRows, k - from));
    }
  });
}

void packed_gemm(int64_t m, const float* a, int64_t lda, const PackedMatrix& b, bool add, float* c,
                 int64_t ldc) {
  check_packed(b);
  check(b.parts() == 1, "packed product", "matrix was packed in ", b.parts(),
        " parts; pack it in 1");
  const int64_t k = b.rows(), n = b.columns();
  if (m == 0 || n == 0) return;
  const Panels panels(n);
  const Cut cut = cut_of(m, n, k, panels.count);
  parallel_chunks(static_cast<int>(cut.across * cut.down), [&](int chunk) {
    const int64_t group = chunk / cut.across, range = chunk % cut.across;
    const int64_t top = cut.top(group), rows = cut.top(group + 1) - top;
    const int64_t begin = panels.count * range / cut.across,
                  end = panels.count * (range + 1) / cut.across;
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

void detail::packed_gemm_tiles(int64_t m, const float* a, int64_t lda, const PackedMatrix& b,
                               int64_t ranges, TileFunction function, void* context) {
  check_packed(b);
  const int64_t k = b.rows(), parts = b.parts();
  if (m == 0 || b.columns() == 0) return;
  const Panels panels(b.columns(), parts);
  // k is never cut: a tile has all of it.
  constexpr int64_t kShort = 1024;
  const Cut cut = ranges == 0 ? cut_of(m, b.columns(), std::min(k, kShort), panels.count)
                              : cut_in_ranges(m, k, panels.count, ranges);
  parallel_chunks(static_cast<int>(cut.across * cut.down), [&](int chunk) {
    constexpr int64_t kMostFloats = 48;  // of a panel's row
    alignas(64) float values[kBlock * kMostFloats];
    const int64_t group = chunk / cut.across, range = chunk % cut.across;
    const int64_t top = cut.top(group), bottom = cut.top(group + 1);
    const int64_t begin = panels.count * range / cut.across,
                  end = panels.count * (range + 1) / cut.across;
    for (int64_t p = begin; p < end; ++p) {
      const int64_t first = panels.first(p), padded = panels.padded(p), stride = padded * parts;
      for (int64_t row = top; row < bottom; row += kBlock) {
        const int64_t rows = std::min(kBlock, bottom - row);
        packed_gemm_panel(static_cast<int>(padded / panels.width), rows, stride, k, a + row * lda,
                          lda, b.panels() + k * first * parts, values, stride, false);
        function(context,
                 {row, rows, first, panels.used(p), values, stride, padded, range, p == begin});
      }
    }
  });
}

}  // namespace enas
