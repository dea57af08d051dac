#include "ops/cell_input.h"

#include <algorithm>

#include "ops/matmul.h"
#include "tensor/dispatch.h"
#include "tensor/packed_gemm.h"
#include "tensor/thread_pool.h"

namespace enas {

void check_operand(const char* op, const char* name, const Tensor& t, int64_t rows, int64_t columns,
                   const Tensor& like) {
  check(t.defined(), op, name, " has no value");
  check(t.shape() == Shape{rows, columns} && t.dtype() == like.dtype(), op, name, " must be ",
        like.dtype(), " [", rows, ", ", columns, "], got ", t.dtype(), " ", t.shape());
  check(t.device() == like.device(), op, name, " is on ", t.device(), ", other operands on ",
        like.device(), "; move one with to(device)");
}

void check_mask(const char* op, const char* name, const Tensor& mask, const Tensor& of) {
  if (mask.defined()) check_operand(op, name, mask, of.size(0), of.size(1), of);
}

Tensor cell_input(const Tensor& s, const Tensor& mask) {
  if (!mask.defined()) return s;
  Tensor out = empty_like(s);
  dispatch<cpu::masked_columns, cuda::masked_columns>(s, mask, Tensor(), Tensor(), out);
  return out;
}

Tensor cell_input(const Tensor& x, const Tensor& mask_x, const Tensor& s, const Tensor& mask_s) {
  Tensor out({x.size(0), x.size(1) + s.size(1)}, x.dtype(), x.device());
  dispatch<cpu::masked_columns, cuda::masked_columns>(x, mask_x, s, mask_s, out);
  return out;
}

namespace {

// Whether the tape of w can keep a packed copy: f32 on the CPU, and no constant.
bool packs(const Var& w) {
  return w.tape() != nullptr && w.dtype() == DType::f32 && w.value().device() == Device::cpu;
}

void packed_product(const Tensor& a, const PackedMatrix& b, Tensor& c, Into into) {
  packed_gemm(a.size(0), a.data<float>(), a.size(1), b, into == Into::add, c.data<float>(),
              c.size(1));
}

}  // namespace

const PackedMatrix* packed_copy(const Var& w, int parts) {
  return packs(w) ? &w.tape()->packed_weights().get(w.value(), false, 0, w.size(0), parts)
                  : nullptr;
}

Tensor cell_product(const Tensor& input, const Var& w) {
  Tensor z({input.size(0), w.size(1)}, input.dtype(), input.device());
  if (const PackedMatrix* packed = packed_copy(w, 1)) {
    packed_product(input, *packed, z, Into::write);
  } else {
    dispatch<cpu::matmul, cuda::matmul>(input, w.value(), z, Transpose::no, Transpose::no,
                                        Into::write);
  }
  return z;
}

ISA_SELECT(masked_tile, void(const float* tile, int64_t stride, const float* mask, float* dx,
                             bool add, int64_t rows, int64_t columns, int64_t n));

namespace {

// Where columns [first, first + K) of an input's gradient go.
struct Target {
  int64_t first;
  const Tensor& mask;
  Tensor& dx;  // [B, K]
  Into into;
  void take(const ProductTile& t) const {
    const int64_t n = dx.size(1), from = std::max(t.column, first);
    const int64_t columns = std::min(t.column + t.columns, first + n) - from;
    if (columns <= 0) return;
    const int64_t at = t.row * n + from - first;
    masked_tile(t.values + from - t.column, t.stride,
                mask.defined() ? mask.data<float>() + at : nullptr, dx.data<float>() + at,
                into == Into::add, t.rows, columns, n);
  }
};

}  // namespace

void cell_input_gradient(const Tensor& dz, const Var& w, int64_t first, const Tensor& mask,
                         Tensor& dx, Into into) {
  const int64_t rows = dx.size(1);
  if (packs(w)) {
    const PackedMatrix& packed = w.tape()->packed_weights().get(w.value(), true, first, rows);
    const Target target{0, mask, dx, into};
    packed_gemm_tiles(dz.size(0), dz.data<float>(), dz.size(1), packed, 0,
                      [&](const ProductTile& tile) { target.take(tile); });
    return;
  }
  const auto product = [&](Tensor& out, Into how) {
    dispatch<cpu::matmul, cuda::matmul>(dz, w.value().slice(first, first + rows), out,
                                        Transpose::no, Transpose::yes, how);
  };
  if (!mask.defined()) return product(dx, into);
  Tensor unmasked = empty_like(dx);
  product(unmasked, Into::write);
  dispatch<cpu::masked_add, cuda::masked_add>(unmasked, mask, dx, into);
}

void cell_input_gradients(const Tensor& dz, const Var& w, const Tensor& mask_x, Grad& dx,
                          const Tensor& mask_s, Grad& ds, Into into_s) {
  const int64_t from_x = w.size(0) / 2;
  const bool both = dx.needed() && ds.needed();
  // Where x and s are one value its gradient is written, then added to: one part after the other.
  if (both && packs(w) && dx.tensor().raw() != ds.tensor().raw()) {
    const Target x{0, mask_x, dx.tensor(), dx.into()}, s{from_x, mask_s, ds.tensor(), into_s};
    const PackedMatrix& packed = w.tape()->packed_weights().get(w.value(), true, 0, w.size(0));
    packed_gemm_tiles(dz.size(0), dz.data<float>(), dz.size(1), packed, 0,
                      [&](const ProductTile& tile) { x.take(tile), s.take(tile); });
    return;
  }
  if (dx.needed()) cell_input_gradient(dz, w, 0, mask_x, dx.tensor(), dx.into());
  if (ds.needed()) cell_input_gradient(dz, w, from_x, mask_s, ds.tensor(), into_s);
}

void joined_input_gradient(const Tensor& dz, const Tensor& w, Grad& dx, Grad& ds) {
  const auto tensor = [](Grad& g) { return g.needed() ? &g.tensor() : nullptr; };
  const auto into = [](Grad& g) { return g.needed() ? g.into() : Into::write; };
  dispatch<cpu::joined_gradient, cuda::joined_gradient>(dz, w, tensor(dx), into(dx), tensor(ds),
                                                        into(ds));
}

namespace {

constexpr int64_t kGrain = 6400;  // elements a chunk

// Columns [first, first + K) of out = x [B, K] * mask.
void masked_part(const Tensor& x, const Tensor& mask, Tensor& out, int64_t first) {
  const int64_t rows = x.size(0), n = x.size(1), stride = out.size(1);
  visit_real(x.dtype(), "cell input", [&](auto tag) {
    using T = decltype(tag);
    const T *in = x.data<T>(), *factor = mask.defined() ? mask.data<T>() : nullptr;
    T* const to = out.data<T>() + first;
    parallel_for(rows, kGrain / (n + 1), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        if (factor == nullptr) {
          std::copy_n(in + r * n, n, to + r * stride);
        } else {
          for (int64_t j = 0; j < n; ++j) to[r * stride + j] = in[r * n + j] * factor[r * n + j];
        }
      }
    });
  });
}

}  // namespace

void cpu::masked_columns(const Tensor& x, const Tensor& mask_x, const Tensor& s,
                         const Tensor& mask_s, Tensor& out) {
  masked_part(x, mask_x, out, 0);
  if (s.defined()) masked_part(s, mask_s, out, x.size(1));
}

void cpu::masked_add(const Tensor& product, const Tensor& mask, Tensor& dx, Into into) {
  visit_real(dx.dtype(), "cell input", [&](auto tag) {
    using T = decltype(tag);
    const T *in = product.data<T>(), *factor = mask.data<T>();
    T* out = dx.data<T>();
    parallel_for(dx.numel(), kGrain, [&](int64_t begin, int64_t end) {
      if (into == Into::add) {
        for (int64_t i = begin; i < end; ++i) out[i] += in[i] * factor[i];
      } else {
        for (int64_t i = begin; i < end; ++i) out[i] = in[i] * factor[i];
      }
    });
  });
}

void cpu::joined_gradient(const Tensor& dz, const Tensor& w, Tensor* dx, Into into_x, Tensor* ds,
                          Into into_s) {
  const int64_t from_x =
      dx != nullptr ? dx->size(1) : w.size(0) - (ds != nullptr ? ds->size(1) : 0);
  if (dx != nullptr) matmul(dz, w.slice(0, from_x), *dx, Transpose::no, Transpose::yes, into_x);
  if (ds != nullptr) {
    matmul(dz, w.slice(from_x, w.size(0)), *ds, Transpose::no, Transpose::yes, into_s);
  }
}

}  // namespace enas
