// Product with a matrix that is used many times, a recurrent weight above all: it is packed once
// into panels in the order in which the kernel reads them. f32, on the CPU.
#pragma once
#include <cstdint>
#include <type_traits>

#include "tensor/isa.h"
#include "tensor/tensor.h"

namespace enas {

// op(B) [k x n] in panels of a few vectors of columns, k rows each; made for the instruction set
// chosen at the time. Default-constructed: nothing packed.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  // b is stored row-major, [k x n] or, transposed, [n x k]; ldb: elements between rows as stored.
  // parts, 1, 2 or 4: op(B) is that many matrices side by side, as [h | t] of a gate, and a panel
  // holds the same columns of each: what belongs together meets in one tile of C.
  PackedMatrix(bool transpose, int64_t k, int64_t n, const float* b, int64_t ldb, int parts = 1);

  bool defined() const { return panels_.defined(); }
  int64_t rows() const { return k_; }
  int64_t columns() const { return n_; }
  int parts() const { return parts_; }
  Isa isa() const { return isa_; }
  int64_t bytes() const { return defined() ? 4 * panels_.numel() : 0; }
  const float* panels() const { return panels_.data<float>(); }

 private:
  int64_t k_ = 0, n_ = 0;
  int parts_ = 1;
  Isa isa_ = Isa::generic;
  Tensor panels_;
};

// C[m x n] = A[m x k] B, or += where `add`; row-major. C may be uninitialised unless `add`, and
// must not overlap A; B of one part. Cut into tiles by shape, spread over the pool: same bits for
// any number of threads.
void packed_gemm(int64_t m, const float* a, int64_t lda, const PackedMatrix& b, bool add, float* c,
                 int64_t ldc);

// A tile of A B while it is in the first cache: rows [row, row + rows), and columns [column,
// column + columns) of each part. A row of it is the parts' columns one after another, `next_part`
// floats apart; rows lie `stride` apart.
struct ProductTile {
  int64_t row, rows, column, columns;
  const float* values;
  int64_t stride, next_part;
  int64_t range;  // of columns
  bool first;     // of these rows in this range
};

// Calls f(tile) for the tiles of A B instead of writing it: for products whose elements are used
// once and at once. The columns are cut into at most `ranges` ranges (0: as the product is cut
// anyway); tiles of the same rows and range come from one thread, in the order of their columns.
template <class F>
void packed_gemm_tiles(int64_t m, const float* a, int64_t lda, const PackedMatrix& b,
                       int64_t ranges, F&& f);

namespace detail {
using TileFunction = void (*)(void* context, const ProductTile& tile);
void packed_gemm_tiles(int64_t m, const float* a, int64_t lda, const PackedMatrix& b,
                       int64_t ranges, TileFunction function, void* context);
}  // namespace detail

template <class F>
void packed_gemm_tiles(int64_t m, const float* a, int64_t lda, const PackedMatrix& b,
                       int64_t ranges, F&& f) {
  using Function = std::remove_reference_t<F>;
  detail::packed_gemm_tiles(
      m, a, lda, b, ranges,
      [](void* context, const ProductTile& tile) { (*static_cast<Function*>(context))(tile); },
      const_cast<void*>(static_cast<const void*>(&f)));
}

}  // namespace enas
