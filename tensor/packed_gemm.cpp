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
  // Chunks: a group of rows and as many panels as make some microseconds of work.
  constexpr int64_t kWorth = int64_t{1} << 18, kRows = 64, kMostDown = 1024;  // multiply-adds; rows
  const int64_t down = std::min((m + kRows - 1) / kRows, kMostDown);
  const int64_t worth = std::max<int64_t>(m * n * k / (down * panels.count), 1);  // of a panel
  const int64_t each = std::clamp<int64_t>(kWorth / worth, 1, panels.count);
  const int64_t across = std::min((panels.count + each - 1) / each, int64_t{0xffff} / down);
  parallel_chunks(static_cast<int>(across * down), [&](int chunk) {
    const int64_t group = chunk / across, part = chunk % across;
    const int64_t top = m * group / down, rows = m * (group + 1) / down - top;
    for (int64_t p = panels.count * part / across; p < panels.count * (part + 1) / across; ++p) {
      const int64_t first = panels.first(p);
      packed_gemm_panel(static_cast<int>(panels.padded(p) / panels.width), rows, panels.used(p), k,
                        a + top * lda, lda, b.panels() + k * first, c + top * ldc + first, ldc,
                        add);
    }
  });
}

}  // namespace enas
