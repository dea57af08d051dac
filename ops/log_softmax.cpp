#include "ops/log_softmax.h"

#include "ops/row_statistics.h"
#include "tensor/dispatch.h"
#include "tensor/thread_pool.h"

namespace enas {

Var log_softmax(const Var& x) {
  check(x.rank() >= 1, "log_softmax", "needs at least one axis, got ", x.shape());
  Tensor y = empty_like(x.value());
  dispatch<cpu::log_softmax_forward, cuda::log_softmax_forward>(x.value(), y);
  return record("log_softmax", {x}, y, [y](const Tensor& dy, Grads& dx) {
    dispatch<cpu::log_softmax_backward, cuda::log_softmax_backward>(y, dy, dx[0].tensor(),
                                                                    dx[0].into());
  });
}

ISA_SELECT(log_softmax_rows,
           void(const float* x, const float* statistics, float* y, int64_t rows, int64_t columns));
ISA_SELECT(log_softmax_rows_backward, void(const float* y, const float* dy, float* dx, int64_t rows,
                                           int64_t columns, bool add));

namespace {

void rows_forward(const double* x, const double* statistics, double* y, int64_t rows,
                  int64_t columns) {
  for (int64_t r = 0; r < rows; ++r, x += columns, y += columns, statistics += 2) {
    for (int64_t c = 0; c < columns; ++c) y[c] = (x[c] - statistics[0]) - statistics[1];
  }
}
void rows_forward(const float* x, const float* statistics, float* y, int64_t rows,
                  int64_t columns) {
  log_softmax_rows(x, statistics, y, rows, columns);
}
void rows_backward(const double* y, const double* dy, double* dx, int64_t rows, int64_t columns,
                   bool add) {
  for (int64_t r = 0; r < rows; ++r, y += columns, dy += columns, dx += columns) {
    double total = 0;
    for (int64_t c = 0; c < columns; ++c) total += dy[c];
    for (int64_t c = 0; c < columns; ++c) {
      dx[c] = (add ? dx[c] : 0) + dy[c] - std::exp(y[c]) * total;
    }
  }
}
void rows_backward(const float* y, const float* dy, float* dx, int64_t rows, int64_t columns,
                   bool add) {
  log_softmax_rows_backward(y, dy, dx, rows, columns, add);
}

}  // namespace

void cpu::log_softmax_forward(const Tensor& x, Tensor& y) {
  const int64_t rows = x.shape().rows(), columns = x.size(-1);
  visit_real(x.dtype(), "log_softmax", [&](auto tag) {
    using T = decltype(tag);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_for(rows, kRowGrain / (columns + 1), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        T statistics[2];
        row_statistics_of(in + r * columns, statistics, 1, columns);
        statistics[1] = std::log(statistics[1]);
        rows_forward(in + r * columns, statistics, out + r * columns, 1, columns);
      }
    });
  });
}

void cpu::log_softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Into into) {
  const int64_t rows = y.shape().rows(), columns = y.size(-1);
  visit_real(y.dtype(), "log_softmax", [&](auto tag) {
    using T = decltype(tag);
    const T *value = y.data<T>(), *up = dy.data<T>();
    T* out = dx.data<T>();
    parallel_for(rows, kRowGrain / (columns + 1), [&](int64_t begin, int64_t end) {
      const int64_t at = begin * columns;
      rows_backward(value + at, up + at, out + at, end - begin, columns, into == Into::add);
    });
  });
}

}  // namespace enas
