#include "ops/softmax.h"

#include <algorithm>
#include <cmath>

#include "tensor/dispatch.h"
#include "tensor/isa.h"
#include "tensor/thread_pool.h"

namespace enas {

Var softmax(const Var& x) {
  check(x.rank() >= 1, "softmax", "needs at least one axis, got ", x.shape());
  Tensor y = empty_like(x.value());
  dispatch<cpu::softmax_forward, cuda::softmax_forward>(x.value(), y);
  return record("softmax", {x}, y, [y](const Tensor& dy, Grads& dx) {
    dispatch<cpu::softmax_backward, cuda::softmax_backward>(y, dy, dx[0].tensor(), dx[0].into());
  });
}

ISA_SELECT(softmax_rows, void(const float* x, float* y, int64_t rows, int64_t columns));
ISA_SELECT(softmax_rows_backward, void(const float* y, const float* dy, float* dx, int64_t rows,
                                       int64_t columns, bool add));

namespace {

// The plain loops: f64, for gradient checks.
void rows_forward(const double* x, double* y, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r, x += columns, y += columns) {
    double top = -INFINITY, total = 0;
    for (int64_t c = 0; c < columns; ++c) top = std::max(top, x[c]);
    for (int64_t c = 0; c < columns; ++c) total += y[c] = std::exp(x[c] - top);
    for (int64_t c = 0; c < columns; ++c) y[c] /= total;
  }
}
void rows_backward(const double* y, const double* dy, double* dx, int64_t rows, int64_t columns,
                   bool add) {
  for (int64_t r = 0; r < rows; ++r, y += columns, dy += columns, dx += columns) {
    double dot = 0;
    for (int64_t c = 0; c < columns; ++c) dot += y[c] * dy[c];
    for (int64_t c = 0; c < columns; ++c) dx[c] = (add ? dx[c] : 0) + y[c] * (dy[c] - dot);
  }
}
void rows_forward(const float* x, float* y, int64_t rows, int64_t columns) {
  softmax_rows(x, y, rows, columns);
}
void rows_backward(const float* y, const float* dy, float* dx, int64_t rows, int64_t columns,
                   bool add) {
  softmax_rows_backward(y, dy, dx, rows, columns, add);
}

constexpr int64_t kGrain = 8192;  // elements a chunk

}  // namespace

void cpu::softmax_forward(const Tensor& x, Tensor& y) {
  const int64_t rows = x.shape().rows(), columns = x.size(-1);
  visit_real(x.dtype(), "softmax", [&](auto tag) {
    using T = decltype(tag);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_for(rows, kGrain / (columns + 1), [&](int64_t begin, int64_t end) {
      rows_forward(in + begin * columns, out + begin * columns, end - begin, columns);
    });
  });
}

void cpu::softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Into into) {
  const int64_t rows = y.shape().rows(), columns = y.size(-1);
  visit_real(y.dtype(), "softmax", [&](auto tag) {
    using T = decltype(tag);
    const T *value = y.data<T>(), *up = dy.data<T>();
    T* out = dx.data<T>();
    parallel_for(rows, kGrain / (columns + 1), [&](int64_t begin, int64_t end) {
      const int64_t at = begin * columns;
      rows_backward(value + at, up + at, out + at, end - begin, columns, into == Into::add);
    });
  });
}

}  // namespace enas
