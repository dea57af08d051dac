#include "ops/entropy.h"

#include "ops/row_statistics.h"
#include "tensor/dispatch.h"
#include "tensor/thread_pool.h"

namespace enas {

Var entropy(const Var& logits) {
  check(logits.rank() >= 1, "entropy", "needs at least one axis, got ", logits.shape());
  Shape leading;
  for (int axis = 0; axis + 1 < logits.rank(); ++axis) leading.push_back(logits.size(axis));
  const int64_t rows = leading.numel();
  Tensor y({rows}, logits.dtype(), logits.value().device());
  Tensor kept({rows, 3}, logits.dtype(), logits.value().device());
  dispatch<cpu::entropy_forward, cuda::entropy_forward>(logits.value(), y, kept);
  return record("entropy", {logits}, y, [x = logits.value(), kept](const Tensor& dy, Grads& dx) {
    dispatch<cpu::entropy_backward, cuda::entropy_backward>(x, kept, dy, dx[0].tensor(),
                                                            dx[0].into());
  });
}

ISA_SELECT(entropy_rows, void(const float* x, const float* statistics, float* weighted,
                              int64_t rows, int64_t columns));
ISA_SELECT(entropy_rows_backward, void(const float* x, const float* kept, const float* dy,
                                       float* dx, int64_t rows, int64_t columns, bool add));

namespace {

void weighted_row(const double* x, const double* statistics, double* weighted, int64_t columns) {
  *weighted = 0;
  for (int64_t c = 0; c < columns; ++c) {
    const double d = x[c] - statistics[0], e = std::exp(d);
    if (e > 0) *weighted += e * d;
  }
}
void weighted_row(const float* x, const float* statistics, float* weighted, int64_t columns) {
  entropy_rows(x, statistics, weighted, 1, columns);
}
void rows_backward(const double* x, const double* kept, const double* dy, double* dx, int64_t rows,
                   int64_t columns, bool add) {
  for (int64_t r = 0; r < rows; ++r, x += columns, dx += columns, kept += 3) {
    for (int64_t c = 0; c < columns; ++c) {
      const double d = x[c] - kept[0], e = std::exp(d);
      dx[c] = (add ? dx[c] : 0) - (e == 0 ? 0 : e * (d - kept[2]) * dy[r] * kept[1]);
    }
  }
}
void rows_backward(const float* x, const float* kept, const float* dy, float* dx, int64_t rows,
                   int64_t columns, bool add) {
  entropy_rows_backward(x, kept, dy, dx, rows, columns, add);
}

}  // namespace

void cpu::entropy_forward(const Tensor& logits, Tensor& y, Tensor& kept) {
  const int64_t rows = y.numel(), columns = logits.size(-1);
  if (columns == 0) return y.fill(0);
  visit_real(logits.dtype(), "entropy", [&](auto tag) {
    using T = decltype(tag);
    const T* in = logits.data<T>();
    T *out = y.data<T>(), *keep = kept.data<T>();
    parallel_for(rows, kRowGrain / columns, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        T statistics[2], weighted;
        row_statistics_of(in + r * columns, statistics, 1, columns);
        weighted_row(in + r * columns, statistics, &weighted, columns);
        keep[3 * r] = statistics[0];
        keep[3 * r + 1] = 1 / statistics[1];
        keep[3 * r + 2] = weighted / statistics[1];
        out[r] = std::log(statistics[1]) - keep[3 * r + 2];
      }
    });
  });
}

void cpu::entropy_backward(const Tensor& logits, const Tensor& kept, const Tensor& dy, Tensor& dx,
                           Into into) {
  const int64_t rows = dy.numel(), columns = logits.size(-1);
  visit_real(logits.dtype(), "entropy", [&](auto tag) {
    using T = decltype(tag);
    const T *in = logits.data<T>(), *keep = kept.data<T>(), *up = dy.data<T>();
    T* out = dx.data<T>();
    parallel_for(rows, kRowGrain / (columns + 1), [&](int64_t begin, int64_t end) {
      const int64_t at = begin * columns;
      rows_backward(in + at, keep + 3 * begin, up + begin, out + at, end - begin, columns,
                    into == Into::add);
    });
  });
}

}  // namespace enas
