#include "ops/matmul.h"

#include "ops/weight_gradient.h"
#include "tensor/blas.h"
#include "tensor/dispatch.h"
#include "tensor/packed_gemm.h"
#include "tensor/single_gemm.h"
#include "tensor/stacked_gemm.h"

namespace enas {
namespace {

constexpr Transpose flip(Transpose t) {
  return t == Transpose::no ? Transpose::yes : Transpose::no;
}

void product(const Tensor& a, const Tensor& b, Tensor& c, Transpose ta, Transpose tb, Into into) {
  dispatch<cpu::matmul, cuda::matmul>(a, b, c, ta, tb, into);
}

// Gradients of b where a was transposed: sums over columns of blocks, one product each.
template <Transpose transposed>
void flush_columns(std::span<const Contribution> list, Grad& db) {
  Into into = db.into();
  for (size_t i = list.size(); i-- > 0; into = Into::add) {
    product(list[i].a, list[i].b, db.tensor(), transposed, transposed, into);
  }
}

void contribute(Grad& db, const Tensor& a, const Tensor& dy, Transpose ta, Transpose tb) {
  if (ta == Transpose::no && tb == Transpose::no) {
    contribute_rows(db, a, dy);  // a^T dy
  } else if (ta == Transpose::no) {
    contribute_rows(db, dy, a);  // dy^T a
  } else if (tb == Transpose::no) {
    db.contribute(flush_columns<Transpose::no>, FlushOrder::dense, a, dy);
  } else {
    db.contribute(flush_columns<Transpose::yes>, FlushOrder::dense, dy, a);  // dy^T a^T
  }
}

}  // namespace

Var matmul(const Var& a, const Var& b, Transpose ta, Transpose tb) {
  check(a.rank() == 2 && b.rank() == 2, "matmul", "needs two matrices, got ", a.shape(), " and ",
        b.shape());
  check(a.dtype() == b.dtype(), "matmul", "needs one dtype, got ", a.dtype(), " and ", b.dtype());
  check(a.value().device() == b.value().device(), "matmul", "needs one device, got ",
        a.value().device(), " and ", b.value().device());
  const bool turn_a = ta == Transpose::yes, turn_b = tb == Transpose::yes;
  const int64_t m = a.size(turn_a ? 1 : 0), n = b.size(turn_b ? 0 : 1);
  check(a.size(turn_a ? 0 : 1) == b.size(turn_b ? 1 : 0), "matmul", "inner sizes differ: a ",
        a.shape(), turn_a ? " transposed" : "", ", b ", b.shape(), turn_b ? " transposed" : "");
  Tensor y({m, n}, a.dtype(), a.value().device());
  product(a.value(), b.value(), y, ta, tb, Into::write);
  // Each factor is kept only for the other one's gradient.
  const Tensor kept_a = b.has_grad() ? a.value() : Tensor();
  const Tensor kept_b = a.has_grad() ? b.value() : Tensor();
  return record("matmul", {a, b}, y, [kept_a, kept_b, ta, tb](const Tensor& dy, Grads& dx) {
    if (dx[0].needed()) {
      if (ta == Transpose::no) {  // da = dy op(b)^T
        product(dy, kept_b, dx[0].tensor(), Transpose::no, flip(tb), dx[0].into());
      } else {  // da = op(b) dy^T
        product(kept_b, dy, dx[0].tensor(), tb, Transpose::yes, dx[0].into());
      }
    }
    if (dx[1].needed()) contribute(dx[1], kept_a, dy, ta, tb);
  });
}

namespace {

// f32 products that are worth packing for: a 2240 x 1000 x 10000 decoder and its gradients ahead,
// a step's 64 x 1000 x 2000 on the way. False where BLAS does as well.
bool multiply_packed(const Tensor& a, const Tensor& b, Tensor& c, bool turn_a, bool turn_b,
                     Into into) {
  constexpr int64_t kManyRows = 256, kWide = 64;
  const int64_t m = c.size(0), n = c.size(1), k = a.size(turn_a ? 0 : 1);
  if (single_gemm_suits(turn_a, turn_b, m, n, k)) {
    single_gemm(turn_a, turn_b, m, n, k, a.data<float>(), a.size(1), b.data<float>(), b.size(1),
                into == Into::add, c.data<float>(), n);
    return true;
  }
  if (m < kManyRows || n < kWide || k < kWide) return false;
  if (turn_a) {
    if (turn_b) return false;
    const RowBlock rows{a.data<float>(), b.data<float>(), k};
    stacked_gemm({&rows, 1}, m, n, into == Into::add, c.data<float>());
    return true;
  }
  const PackedMatrix packed(turn_b, k, n, b.data<float>(), b.size(1));
  packed_gemm(m, a.data<float>(), k, packed, into == Into::add, c.data<float>(), n);
  return true;
}

}  // namespace

void cpu::matmul(const Tensor& a, const Tensor& b, Tensor& c, Transpose ta, Transpose tb,
                 Into into) {
  visit_real(c.dtype(), "matmul", [&](auto tag) {
    using T = decltype(tag);
    const bool turn_a = ta == Transpose::yes, turn_b = tb == Transpose::yes;
    if constexpr (std::is_same_v<T, float>) {
      if (multiply_packed(a, b, c, turn_a, turn_b, into)) return;
    }
    gemm<T>(turn_a, turn_b, c.size(0), c.size(1), a.size(turn_a ? 0 : 1), a.data<T>(), a.size(1),
            b.data<T>(), b.size(1), into == Into::add ? T{1} : T{0}, c.data<T>(), c.size(1));
  });
}

}  // namespace enas
