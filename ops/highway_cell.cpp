#include "ops/highway_cell.h"

#include "ops/cell_input.h"
#include "ops/cell_rows.h"
#include "ops/weight_gradient.h"
#include "tensor/dispatch.h"
#include "tensor/isa.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

void fused_forward(const Tensor& input, const PackedMatrix& w, const Tensor& s, Activation f,
                   Tensor& z, Tensor& y);

struct Forward {
  Tensor z, y;  // z [B, 2H] = [f(h) | sigmoid(t)], undefined where nothing flows back
};
Forward forward(const Tensor& input, const Tensor& s, const Var& w, Activation f, bool recorded) {
  Forward out;
  out.y = empty_like(s);
  if (const PackedMatrix* packed = packed_copy(w, 2)) {
    if (recorded) out.z = Tensor({s.size(0), w.size(1)});
    fused_forward(input, *packed, s, f, out.z, out.y);
  } else {
    out.z = cell_product(input, w);
    dispatch<cpu::highway_gates_forward, cuda::highway_gates_forward>(s, f, out.z, out.y);
  }
  return out;
}

// dz; ds, where wanted, gets (1 - sigmoid(t)) dy.
Tensor gates_backward(const Tensor& gates, const Tensor& s, const Tensor& dy, Activation f,
                      Grad& ds) {
  Tensor dz = empty_like(gates);
  Tensor* carry = ds.needed() ? &ds.tensor() : nullptr;
  const Into into = ds.needed() ? ds.into() : Into::write;
  dispatch<cpu::highway_gates_backward, cuda::highway_gates_backward>(gates, s, dy, f, dz, carry,
                                                                      into);
  return dz;
}

}  // namespace

Var highway_cell(const Var& s, const Var& w, Activation f, const Tensor& mask) {
  constexpr const char* kOp = "highway_cell";
  check(s.rank() == 2, kOp, "s must be [B, H], got ", s.shape());
  check_operand(kOp, "w", w.value(), s.size(1), 2 * s.size(1), s.value());
  check_mask(kOp, "mask", mask, s.value());
  const Tensor input = cell_input(s.value(), mask);
  const auto [z, y] = forward(input, s.value(), w, f, s.has_grad() || w.has_grad());
  return record(kOp, {s, w}, y,
                [s = s.value(), w, mask, input, z = z, f](const Tensor& dy, Grads& dx) {
                  const Tensor dz = gates_backward(z, s, dy, f, dx[0]);
                  if (dx[0].needed()) {
                    cell_input_gradient(dz, w, 0, mask, dx[0].tensor(), Into::add);
                  }
                  if (dx[1].needed()) contribute_rows(dx[1], input, dz);
                });
}

Var highway_input(const Var& x, const Var& s, const Var& w, Activation f, const Tensor& mask_x,
                  const Tensor& mask_s) {
  constexpr const char* kOp = "highway_input";
  check(s.rank() == 2, kOp, "s must be [B, H], got ", s.shape());
  const int64_t h = s.size(1);
  check_operand(kOp, "x", x.value(), s.size(0), h, s.value());
  check_operand(kOp, "w", w.value(), 2 * h, 2 * h, s.value());
  check_mask(kOp, "mask_x", mask_x, s.value());
  check_mask(kOp, "mask_s", mask_s, s.value());
  const Tensor input = cell_input(x.value(), mask_x, s.value(), mask_s);
  const bool recorded = x.has_grad() || s.has_grad() || w.has_grad();
  const auto [z, y] = forward(input, s.value(), w, f, recorded);
  return record(kOp, {x, s, w}, y,
                [s = s.value(), w, mask_x, mask_s, input, z = z, f](const Tensor& dy, Grads& dx) {
                  const Tensor dz = gates_backward(z, s, dy, f, dx[1]);
                  cell_input_gradients(dz, w, mask_x, dx[0], mask_s, dx[1], Into::add);
                  if (dx[2].needed()) contribute_rows(dx[2], input, dz);
                });
}

ISA_SELECT(highway_gates,
           void(Activation f, const float* s, float* z, float* y, int64_t rows, int64_t n));
ISA_SELECT(highway_gates_tile,
           void(Activation f, const float* tile, int64_t stride, int64_t next_part,
                const float* carry, float* z, float* y, int64_t rows, int64_t columns, int64_t n));
ISA_SELECT(highway_gates_back,
           void(Activation f, const float* gates, const float* s, const float* dy, float* dz,
                float* ds, bool add, int64_t rows, int64_t n));

namespace {

constexpr int64_t kGrain = 2048;  // gated elements a chunk

void forward_rows(Activation f, const float* s, float* z, float* y, int64_t rows, int64_t n) {
  highway_gates(f, s, z, y, rows, n);
}
void forward_rows(Activation f, const double* s, double* z, double* y, int64_t rows, int64_t n) {
  scalar::highway_rows(f, s, z, y, rows, n);
}
void backward_rows(Activation f, const float* gates, const float* s, const float* dy, float* dz,
                   float* ds, bool add, int64_t rows, int64_t n) {
  highway_gates_back(f, gates, s, dy, dz, ds, add, rows, n);
}
void backward_rows(Activation f, const double* gates, const double* s, const double* dy, double* dz,
                   double* ds, bool add, int64_t rows, int64_t n) {
  scalar::highway_rows_backward(f, gates, s, dy, dz, ds, add, rows, n);
}

// Gates of a tile as soon as the product has made it: w is packed in two parts, h and t.
void fused_forward(const Tensor& input, const PackedMatrix& w, const Tensor& s, Activation f,
                   Tensor& z, Tensor& y) {
  const int64_t n = s.size(1);
  const float* carry = s.data<float>();
  float *gates = z.defined() ? z.data<float>() : nullptr, *out = y.data<float>();
  packed_gemm_tiles(s.size(0), input.data<float>(), input.size(1), w, 0, [=](const ProductTile& t) {
    const int64_t at = t.row * n + t.column;
    float* const kept = gates != nullptr ? gates + 2 * t.row * n + t.column : nullptr;
    highway_gates_tile(f, t.values, t.stride, t.next_part, carry + at, kept, out + at, t.rows,
                       t.columns, n);
  });
}

}  // namespace

void cpu::highway_gates_forward(const Tensor& s, Activation f, Tensor& z, Tensor& y) {
  const int64_t rows = s.size(0), n = s.size(1);
  visit_real(s.dtype(), "highway_cell", [&](auto tag) {
    using T = decltype(tag);
    const T* carry = s.data<T>();
    T *gates = z.data<T>(), *out = y.data<T>();
    parallel_for(rows, kGrain / (n + 1), [&](int64_t begin, int64_t end) {
      const int64_t at = begin * n;
      forward_rows(f, carry + at, gates + 2 * at, out + at, end - begin, n);
    });
  });
}

void cpu::highway_gates_backward(const Tensor& gates, const Tensor& s, const Tensor& dy,
                                 Activation f, Tensor& dz, Tensor* ds, Into into) {
  const int64_t rows = s.size(0), n = s.size(1);
  visit_real(s.dtype(), "highway_cell", [&](auto tag) {
    using T = decltype(tag);
    const T *gate = gates.data<T>(), *carry = s.data<T>(), *up = dy.data<T>();
    T *out = dz.data<T>(), *down = ds != nullptr ? ds->data<T>() : nullptr;
    parallel_for(rows, kGrain / (n + 1), [&](int64_t begin, int64_t end) {
      const int64_t at = begin * n;
      backward_rows(f, gate + 2 * at, carry + at, up + at, out + 2 * at,
                    down != nullptr ? down + at : nullptr, into == Into::add, end - begin, n);
    });
  });
}

}  // namespace enas
