#include "ops/plain_cell.h"

#include "ops/cell_input.h"
#include "ops/cell_rows.h"
#include "ops/weight_gradient.h"
#include "tensor/dispatch.h"
#include "tensor/isa.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

Tensor through_activation(const Tensor& y, const Tensor& dy, Activation f) {
  Tensor dz = empty_like(y);
  dispatch<cpu::activation_backward, cuda::activation_backward>(f, y, dy, dz);
  return dz;
}

}  // namespace

Var plain_cell(const Var& s, const Var& w, Activation f, const Tensor& mask) {
  constexpr const char* kOp = "plain_cell";
  check(s.rank() == 2, kOp, "s must be [B, H], got ", s.shape());
  check_operand(kOp, "w", w.value(), s.size(1), s.size(1), s.value());
  check_mask(kOp, "mask", mask, s.value());
  const Tensor input = cell_input(s.value(), mask);
  Tensor y = cell_product(input, w);
  dispatch<cpu::activation_forward, cuda::activation_forward>(f, y);
  return record(kOp, {s, w}, y, [w, mask, input, y, f](const Tensor& dy, Grads& dx) {
    const Tensor dz = through_activation(y, dy, f);
    if (dx[0].needed()) cell_input_gradient(dz, w, 0, mask, dx[0].tensor(), dx[0].into());
    if (dx[1].needed()) contribute_rows(dx[1], input, dz);
  });
}

Var plain_input(const Var& x, const Var& s, const Var& w, Activation f, const Tensor& mask_x,
                const Tensor& mask_s) {
  constexpr const char* kOp = "plain_input";
  check(s.rank() == 2, kOp, "s must be [B, H], got ", s.shape());
  const int64_t n = s.size(1);
  check_operand(kOp, "x", x.value(), s.size(0), n, s.value());
  check_operand(kOp, "w", w.value(), 2 * n, n, s.value());
  check_mask(kOp, "mask_x", mask_x, s.value());
  check_mask(kOp, "mask_s", mask_s, s.value());
  const Tensor input = cell_input(x.value(), mask_x, s.value(), mask_s);
  Tensor y = cell_product(input, w);
  dispatch<cpu::activation_forward, cuda::activation_forward>(f, y);
  return record(kOp, {x, s, w}, y, [w, mask_x, mask_s, input, y, f](const Tensor& dy, Grads& dx) {
    const Tensor dz = through_activation(y, dy, f);
    const Into into = dx[1].needed() ? dx[1].into() : Into::write;
    cell_input_gradients(dz, w, mask_x, dx[0], mask_s, dx[1], into);
    if (dx[2].needed()) contribute_rows(dx[2], input, dz);
  });
}

ISA_SELECT(activation_in_place, void(Activation f, float* z, int64_t n));
ISA_SELECT(activation_back,
           void(Activation f, const float* y, const float* dy, float* dz, int64_t n));

namespace {

constexpr int64_t kGrain = 8192;  // elements a chunk

void in_place(Activation f, float* z, int64_t n) { activation_in_place(f, z, n); }
void in_place(Activation f, double* z, int64_t n) { scalar::activation_rows(f, z, n); }
void back(Activation f, const float* y, const float* dy, float* dz, int64_t n) {
  activation_back(f, y, dy, dz, n);
}
void back(Activation f, const double* y, const double* dy, double* dz, int64_t n) {
  scalar::activation_rows_backward(f, y, dy, dz, n);
}

}  // namespace

void cpu::activation_forward(Activation f, Tensor& y) {
  visit_real(y.dtype(), "plain_cell", [&](auto tag) {
    using T = decltype(tag);
    T* z = y.data<T>();
    parallel_for(y.numel(), kGrain,
                 [&](int64_t begin, int64_t end) { in_place(f, z + begin, end - begin); });
  });
}

void cpu::activation_backward(Activation f, const Tensor& y, const Tensor& dy, Tensor& dz) {
  visit_real(y.dtype(), "plain_cell", [&](auto tag) {
    using T = decltype(tag);
    const T *value = y.data<T>(), *up = dy.data<T>();
    T* out = dz.data<T>();
    parallel_for(y.numel(), kGrain, [&](int64_t begin, int64_t end) {
      back(f, value + begin, up + begin, out + begin, end - begin);
    });
  });
}

}  // namespace enas
