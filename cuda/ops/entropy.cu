// Kernels of ops/entropy.h: forward reads a row once.
#include "ops/entropy.h"

#include "cuda/rows.cuh"

namespace enas::cuda {
namespace {

template <class T, class Layout>
__global__ void __launch_bounds__(kBlockRowThreads, 1)
    entropy_rows(const T* __restrict__ x, T* __restrict__ y, T* __restrict__ kept, int64_t rows,
                 int64_t columns) {
  ENAS_SHARED(shared);
  const Shared<T> scratch(shared, 0, kWarp);
  const RowThreads<Layout> row(columns);
  if (row.index >= rows) return;
  const RowValues<T, Layout> values(row, x);
  const RowStatistics<T> its = row_statistics(row, values, scratch);
  const T weighted = values.template fold<Sum>(row, scratch, T(0), [&](T v) {
    const T d = v - its.top, e = std::exp(d);
    return e > 0 ? e * d : T(0);
  });
  if (row.lane != 0) return;
  const T w = weighted / its.total;
  T* keep = kept + 3 * row.index;
  keep[0] = its.top;
  keep[1] = 1 / its.total;
  keep[2] = w;
  y[row.index] = std::log(its.total) - w;
}

// dx = -dy p (x - m - w)
template <class T, class Layout>
__global__ void __launch_bounds__(kBlockRowThreads, 1)
    entropy_rows_backward(const T* __restrict__ x, const T* __restrict__ kept,
                          const T* __restrict__ dy, T* __restrict__ dx, int64_t rows,
                          int64_t columns, bool add) {
  const RowThreads<Layout> row(columns);
  if (row.index >= rows) return;
  const RowValues<T, Layout> values(row, x);
  const T* keep = kept + 3 * row.index;
  const T top = keep[0], w = keep[2], factor = -dy[row.index] * keep[1];
  T* out = dx + row.index * columns;
  row.each([&](int k, int c) {
    auto v = values.at(k, c);
#pragma unroll
    for (int i = 0; i < Layout::kWidth; ++i) {
      const T d = v.lane[i] - top, e = std::exp(d);
      v.lane[i] = e == 0 ? T(0) : e * (d - w) * factor;
    }
    put_lanes(out + c, v, add);
  });
}

}  // namespace

void entropy_forward(const Tensor& logits, Tensor& y, Tensor& kept) {
  const int64_t rows = y.numel(), columns = logits.size(-1);
  if (columns == 0) return y.fill(0);
  visit_real(logits.dtype(), "entropy", [&](auto tag) {
    using T = decltype(tag);
    const T* in = logits.data<T>();
    visit_row_layout<T>(
        rows, columns,
        [&](auto layout, const Launch& how) {
          launch("entropy", entropy_rows<T, decltype(layout)>, how, in, y.data<T>(), kept.data<T>(),
                 rows, columns);
        },
        in);
  });
}

void entropy_backward(const Tensor& logits, const Tensor& kept, const Tensor& dy, Tensor& dx,
                      Into into) {
  const int64_t rows = dy.numel(), columns = logits.size(-1);
  if (columns == 0) return;
  visit_real(logits.dtype(), "entropy", [&](auto tag) {
    using T = decltype(tag);
    const T* in = logits.data<T>();
    T* out = dx.data<T>();
    visit_row_layout<T>(
        rows, columns,
        [&](auto layout, const Launch& how) {
          launch("entropy", entropy_rows_backward<T, decltype(layout)>, how, in, kept.data<T>(),
                 dy.data<T>(), out, rows, columns, into == Into::add);
        },
        in, out);
  });
}

}  // namespace enas::cuda
