#include "ops/highway_cell.h"

#include "ops/cell_input.h"
#include "ops/cell_rows.h"
#include "ops/weight_gradient.h"
#include "tensor/dispatch.h"
#include "tensor/isa.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

Tensor gates_forward(const Tensor& s, Activation f, Tensor& z) {
  Tensor y = empty_like(s);
  dispatch<cpu::highway_gates_forward, cuda::highway_gates_forward>(s, f, z, y);
  return y;
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
  Tensor z = cell_product(input, w);
  const Tensor y = gates_forward(s.value(), f, z);
  return record(kOp, {s, w}, y, [s = s.value(), w, mask, input, z, f](const Tensor& dy, Grads& dx) {
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
  Tensor z = cell_product(input, w);
  const Tensor y = gates_forward(s.value(), f, z);
  return record(kOp, {x, s, w}, y,
                [s = s.value(), w, mask_x, mask_s, input, z, f](const Tensor& dy, Grads& dx) {
                  const int64_t n = s.size(1);
                  const Tensor dz = gates_backward(z, s, dy, f, dx[1]);
                  if (dx[0].needed()) {
                    cell_input_gradient(dz, w, 0, mask_x, dx[0].tensor(), dx[0].into());
                  }
                  if (dx[1].needed()) {
                    cell_input_gradient(dz, w, n, mask_s, dx[1].tensor(), Into::add);
                  }
                  if (dx[2].needed()) contribute_rows(dx[2], input, dz);
                });
}

ISA_SELECT(highway_gates,
           void(Activation f, const float* s, float* z, float* y, int64_t rows, int64_t n));
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
