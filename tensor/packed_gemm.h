// Product with a matrix that is used many times, a recurrent weight above all: it is packed once
// into panels in the order in which the kernel reads them. f32, on the CPU.
#pragma once
#include <cstdint>

#include "tensor/isa.h"
#include "tensor/tensor.h"

namespace enas {

// op(B) [k x n] in panels of a few vectors of columns, k rows each; made for the instruction set
// chosen at the time. Default-constructed: nothing packed.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  // b is stored row-major, [k x n] or, transposed, [n x k]; ldb: elements between rows as stored.
  PackedMatrix(bool transpose, int64_t k, int64_t n, const float* b, int64_t ldb);

  bool defined() const { return panels_.defined(); }
  int64_t rows() const { return k_; }
  int64_t columns() const { return n_; }
  Isa isa() const { return isa_; }
  const float* panels() const { return panels_.data<float>(); }

 private:
  int64_t k_ = 0, n_ = 0;
  Isa isa_ = Isa::generic;
  Tensor panels_;
};

// C[m x n] = A[m x k] B, or += where `add`; row-major. C may be uninitialised unless `add`, and
// must not overlap A. Cut into tiles by shape, spread over the pool: same bits for any number of
// threads.
void packed_gemm(int64_t m, const float* a, int64_t lda, const PackedMatrix& b, bool add, float* c,
                 int64_t ldc);

}  // namespace enas
