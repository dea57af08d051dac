// The matrix product of ops/matmul.h: cuBLAS, which has no kernel of ours in front or behind.
#include "ops/matmul.h"

#include "cuda/blas.h"
#include "tensor/dtype.h"

namespace enas::cuda {

void matmul(const Tensor& a, const Tensor& b, Tensor& c, Transpose ta, Transpose tb, Into into) {
  if (c.numel() == 0) return;
  visit_real(c.dtype(), "matmul", [&](auto tag) {
    using T = decltype(tag);
    const bool turn_a = ta == Transpose::yes, turn_b = tb == Transpose::yes;
    gemm<T>("matmul", turn_a, turn_b, c.size(0), c.size(1), a.size(turn_a ? 0 : 1), a.data<T>(),
            a.size(1), b.data<T>(), b.size(1), into == Into::add ? T{1} : T{0}, c.data<T>(),
            c.size(1));
  });
}

}  // namespace enas::cuda
