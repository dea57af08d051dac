#include "tensor/stacked_gemm.h"

#include <algorithm>
#include <vector>

#include "tensor/check.h"
#include "tensor/packed_panels.h"
#include "tensor/tensor.h"
#include "tensor/thread_pool.h"

namespace enas {

ISA_SELECT(stacked_gemm_geometry, void(int64_t* tile_rows, int64_t* block_rows));
ISA_SELECT(stacked_gemm_tiles, void(int64_t rows, int64_t m, const float* a, int64_t lda,
                                    int64_t at, int64_t pitch, float* to));
ISA_SELECT(stacked_gemm_panel, void(int64_t rows, int64_t columns, int64_t padded, const float* b,
                                    int64_t ldb, float* to));
ISA_SELECT(stacked_gemm_block,
           void(int vectors, int64_t m, int64_t columns, int64_t k, const float* a, int64_t pitch,
                const float* b, float* c, int64_t ldc, bool add, const char* const* ahead,
                int64_t ahead_bytes));

namespace {

// Where each row of the stack lies.
struct Rows {
  std::vector<const float*> a, b;
};
Rows rows_of(std::span<const RowBlock> blocks, int64_t m, int64_t n) {
  Rows rows;
  for (const RowBlock& block : blocks) {
    for (int64_t r = 0; r < block.rows; ++r) {
      rows.a.push_back(block.a + r * m);
      rows.b.push_back(block.b + r * n);
    }
  }
  return rows;
}

// A part of C, in the second cache while all blocks of rows pass over it: rows [top, top + m),
// panels [first, last).
struct Part {
  int64_t top, m, first, last;
};

// Calls pack(from, at, count) for runs of rows that lie one after another.
template <class Pack>
void each_run(const std::vector<const float*>& rows, int64_t begin, int64_t end, int64_t stride,
              Pack pack) {
  for (int64_t r = begin; r < end;) {
    int64_t last = r + 1;
    while (last < end &&
           rows[static_cast<size_t>(last)] == rows[static_cast<size_t>(r)] + (last - r) * stride) {
      ++last;
    }
    pack(rows[static_cast<size_t>(r)], r - begin, last - r);
    r = last;
  }
}

class PartProduct {
 public:
  PartProduct(const Rows& rows, const Part& part, int64_t m, int64_t n, const Panels& panels)
      : rows_(rows), part_(part), m_(m), n_(n), panels_(panels) {
    stacked_gemm_geometry(&tile_rows_, &block_);
    left_ = panels.first(part.first);
    width_ = panels.first(part.last) - left_;
    tiles_ = (part.m + tile_rows_ - 1) / tile_rows_;
    // A row is written to all tiles. A power of two apart they would share a few places of the
    // first cache.
    pitch_ = tile_rows_ * block_ + 16;
    scratch_ = Tensor({tiles_ * pitch_ + width_ * block_});
  }

  void run(bool add, float* c) {
    const auto total = static_cast<int64_t>(rows_.a.size());
    const int64_t blocks = (total + block_ - 1) / block_;
    for (int64_t i = 0; i < blocks; ++i) {
      const int64_t begin = total * i / blocks, end = total * (i + 1) / blocks;
      const int64_t next = i + 1 < blocks ? total * (i + 2) / blocks : end;
      one_block(begin, end, next, add || i > 0, c);
    }
  }

 private:
  void one_block(int64_t begin, int64_t end, int64_t next, bool add, float* c) {
    const int64_t depth = end - begin;
    float* const a = scratch_.data<float>();
    float* const b = a + tiles_ * pitch_;
    each_run(rows_.a, begin, end, m_, [&](const float* from, int64_t at, int64_t count) {
      stacked_gemm_tiles(count, part_.m, from + part_.top, m_, at, pitch_, a);
    });
    each_run(rows_.b, begin, end, n_, [&](const float* from, int64_t at, int64_t count) {
      for (int64_t p = part_.first; p < part_.last; ++p) {
        const int64_t padded = panels_.padded(p), first = panels_.first(p);
        stacked_gemm_panel(count, panels_.used(p), padded, from + first, n_,
                           b + (first - left_) * depth + at * padded);
      }
    });
    ask_for(end, next);
    for (int64_t p = part_.first; p < part_.last; ++p) {
      const int64_t first = panels_.first(p);
      stacked_gemm_block(static_cast<int>(panels_.padded(p) / panels_.width), part_.m,
                         panels_.used(p), depth, a, pitch_, b + (first - left_) * depth,
                         c + part_.top * n_ + first, n_, add,
                         ahead_.data() + (p - part_.first) * tiles_, 4 * std::max(part_.m, width_));
    }
  }

  // The rows of the next block, one a tile, while there are tiles.
  void ask_for(int64_t begin, int64_t end) {
    const int64_t tiles = tiles_ * (part_.last - part_.first);
    const auto* nothing = reinterpret_cast<const char*>(scratch_.data<float>());
    ahead_.assign(static_cast<size_t>(tiles), nothing);
    size_t at = 0;
    for (int64_t r = begin; r < end && at + 1 < ahead_.size(); ++r) {
      const auto row = static_cast<size_t>(r);
      ahead_[at++] = reinterpret_cast<const char*>(rows_.a[row] + part_.top);
      ahead_[at++] = reinterpret_cast<const char*>(rows_.b[row] + left_);
    }
  }

  const Rows& rows_;
  const Part part_;
  const int64_t m_, n_;
  const Panels& panels_;
  int64_t tile_rows_ = 0, block_ = 0, tiles_ = 0, pitch_ = 0, left_ = 0, width_ = 0;
  Tensor scratch_;
  std::vector<const char*> ahead_;
};

}  // namespace

void stacked_gemm(std::span<const RowBlock> blocks, int64_t m, int64_t n, bool add, float* c) {
  if (m == 0 || n == 0) return;
  const Rows rows = rows_of(blocks, m, n);
  if (rows.a.empty()) {
    if (!add) std::fill_n(c, m * n, 0.0f);
    return;
  }
  const Panels panels(n);
  // Parts of some 128 K numbers, of whole tiles, for one that lacks a row is slow to pack. An even
  // number of them where one does not do; a single one is cut by rows, for tiles are finer than
  // panels.
  constexpr int64_t kHigh = 360, kWide = 400;
  int64_t tile_rows = 0, block = 0;
  stacked_gemm_geometry(&tile_rows, &block);
  int64_t down = (m + kHigh - 1) / kHigh;
  int64_t across = std::min((n + kWide - 1) / kWide, panels.count);
  if (down % 2 != 0 && across % 2 != 0) {
    if (across > 1 && across < panels.count) {
      ++across;
    } else if (m > tile_rows) {
      ++down;
    }
  }
  check(down * across <= 0xffff, "stacked product", "matrix ", m, " x ", n, " is too large");
  parallel_chunks(static_cast<int>(down * across), [&](int chunk) {
    const int64_t i = chunk / across, j = chunk % across;
    const auto top = [&](int64_t of) {
      return std::min((m + tile_rows - 1) / tile_rows * of / down * tile_rows, m);
    };
    const Part part{top(i), top(i + 1) - top(i), panels.count * j / across,
                    panels.count * (j + 1) / across};
    PartProduct(rows, part, m, n, panels).run(add, c);
  });
}

}  // namespace enas
