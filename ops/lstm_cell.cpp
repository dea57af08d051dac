#include "ops/lstm_cell.h"

#include "ops/cell_input.h"
#include "ops/cell_rows.h"
#include "ops/matmul.h"
#include "ops/weight_gradient.h"
#include "tensor/dispatch.h"
#include "tensor/isa.h"
#include "tensor/thread_pool.h"

namespace enas {

LstmState lstm_cell(const Var& x, const LstmState& state, const Var& w) {
  constexpr const char* kOp = "lstm_cell";
  check(x.rank() == 2 && state.h.rank() == 2, kOp, "needs x [B, I] and h [B, H], got ", x.shape(),
        " and ", state.h.shape());
  const int64_t rows = x.size(0), n = state.h.size(1);
  check_operand(kOp, "h", state.h.value(), rows, n, x.value());
  check_operand(kOp, "c", state.c.value(), rows, n, x.value());
  check_operand(kOp, "w", w.value(), x.size(1) + n, 4 * n, x.value());
  const Tensor& c = state.c.value();
  Tensor input({rows, x.size(1) + n}, x.dtype(), c.device());
  Tensor z({rows, 4 * n}, x.dtype(), c.device());
  Tensor h_next = empty_like(c), c_next = empty_like(c);
  dispatch<cpu::lstm_forward, cuda::lstm_forward>(x.value(), state.h.value(), c, w.value(), input,
                                                  z, h_next, c_next);
  const auto backward = [input, w = w.value(), c, c_next, z](OutputGrads dy, Grads& dx) {
    Tensor dz = empty_like(z);
    Tensor* dc = dx[2].needed() ? &dx[2].tensor() : nullptr;
    const Into into = dx[2].needed() ? dx[2].into() : Into::write;
    dispatch<cpu::lstm_gates_backward, cuda::lstm_gates_backward>(z, c, c_next, dy[0], dy[1], dz,
                                                                  dc, into);
    joined_input_gradient(dz, w, dx[0], dx[1]);
    if (dx[3].needed()) contribute_rows(dx[3], input, dz);
  };
  std::vector<Var> next =
      record(kOp, {x, state.h, state.c, w}, std::vector<Tensor>{h_next, c_next}, backward);
  return {std::move(next[0]), std::move(next[1])};
}

ISA_SELECT(lstm_gates,
           void(const float* c, float* z, float* h_next, float* c_next, int64_t rows, int64_t n));
ISA_SELECT(lstm_gates_back,
           void(const float* gates, const float* c, const float* c_next, const float* dh,
                const float* dc_next, float* dz, float* dc, bool add, int64_t rows, int64_t n));

namespace {

constexpr int64_t kGrain = 1024;  // cells a chunk

void forward_rows(const float* c, float* z, float* h_next, float* c_next, int64_t rows, int64_t n) {
  lstm_gates(c, z, h_next, c_next, rows, n);
}
void forward_rows(const double* c, double* z, double* h_next, double* c_next, int64_t rows,
                  int64_t n) {
  scalar::lstm_rows(c, z, h_next, c_next, rows, n);
}
void backward_rows(const float* gates, const float* c, const float* c_next, const float* dh,
                   const float* dc_next, float* dz, float* dc, bool add, int64_t rows, int64_t n) {
  lstm_gates_back(gates, c, c_next, dh, dc_next, dz, dc, add, rows, n);
}
void backward_rows(const double* gates, const double* c, const double* c_next, const double* dh,
                   const double* dc_next, double* dz, double* dc, bool add, int64_t rows,
                   int64_t n) {
  scalar::lstm_rows_backward(gates, c, c_next, dh, dc_next, dz, dc, add, rows, n);
}

template <class T>
const T* data_or_null(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}
template <class T>
T* advance(T* p, int64_t n) {
  return p != nullptr ? p + n : nullptr;
}

}  // namespace

void cpu::lstm_forward(const Tensor& x, const Tensor& h, const Tensor& c, const Tensor& w,
                       Tensor& input, Tensor& gates, Tensor& h_next, Tensor& c_next) {
  masked_columns(x, {}, h, {}, input);
  matmul(input, w, gates, Transpose::no, Transpose::no, Into::write);
  lstm_gates_forward(c, gates, h_next, c_next);
}

void cpu::lstm_gates_forward(const Tensor& c, Tensor& z, Tensor& h_next, Tensor& c_next) {
  const int64_t rows = c.size(0), n = c.size(1);
  visit_real(c.dtype(), "lstm_cell", [&](auto tag) {
    using T = decltype(tag);
    const T* cell = c.data<T>();
    T *gates = z.data<T>(), *h = h_next.data<T>(), *next = c_next.data<T>();
    parallel_for(rows, kGrain / (n + 1), [&](int64_t begin, int64_t end) {
      const int64_t at = begin * n;
      forward_rows(cell + at, gates + 4 * at, h + at, next + at, end - begin, n);
    });
  });
}

void cpu::lstm_gates_backward(const Tensor& gates, const Tensor& c, const Tensor& c_next,
                              const Tensor& dh, const Tensor& dc_next, Tensor& dz, Tensor* dc,
                              Into into) {
  const int64_t rows = c.size(0), n = c.size(1);
  visit_real(c.dtype(), "lstm_cell", [&](auto tag) {
    using T = decltype(tag);
    const T *gate = gates.data<T>(), *cell = c.data<T>(), *next = c_next.data<T>();
    const T *up_h = data_or_null<T>(dh), *up_c = data_or_null<T>(dc_next);
    T *out = dz.data<T>(), *down = dc != nullptr ? dc->data<T>() : nullptr;
    parallel_for(rows, kGrain / (n + 1), [&](int64_t begin, int64_t end) {
      const int64_t at = begin * n;
      backward_rows(gate + 4 * at, cell + at, next + at, advance(up_h, at), advance(up_c, at),
                    out + 4 * at, advance(down, at), into == Into::add, end - begin, n);
    });
  });
}

}  // namespace enas
