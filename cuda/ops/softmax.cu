// Kernels of ops/softmax.h: a row is read once and written once.
#include "ops/softmax.h"

#include "cuda/rows.cuh"

namespace enas::cuda {
namespace {

template <class T, class Layout>
__global__ void __launch_bounds__(kBlockRowThreads, 1)
    softmax_rows(const T* __restrict__ x, T* __restrict__ y, int64_t rows, int64_t columns) {
  ENAS_SHARED(shared);
  const Shared<T> scratch(shared, 0, kWarp);
  const RowThreads<Layout> row(columns);
  if (row.index >= rows) return;
  const RowValues<T, Layout> values(row, x);
  const RowStatistics<T> its = row_statistics(row, values, scratch);
  const T factor = 1 / its.total;
  T* out = y + row.index * columns;
  row.each([&](int k, int c) {
    auto v = values.at(k, c);
#pragma unroll
    for (int i = 0; i < Layout::kWidth; ++i) v.lane[i] = std::exp(v.lane[i] - its.top) * factor;
    store_lanes(out + c, v);
  });
}

// dx = y (dy - sum(dy y))
template <class T, class Layout>
__global__ void __launch_bounds__(kBlockRowThreads, 1)
    softmax_rows_backward(const T* __restrict__ y, const T* __restrict__ dy, T* __restrict__ dx,
                          int64_t rows, int64_t columns, bool add) {
  ENAS_SHARED(shared);
  const Shared<T> scratch(shared, 0, kWarp);
  const RowThreads<Layout> row(columns);
  if (row.index >= rows) return;
  const RowValues<T, Layout> value(row, y), up(row, dy);
  T dot = 0;
  row.each([&](int k, int c) {
    const auto v = value.at(k, c), u = up.at(k, c);
#pragma unroll
    for (int i = 0; i < Layout::kWidth; ++i) dot += v.lane[i] * u.lane[i];
  });
  dot = row.template reduce<Sum>(dot, scratch);
  T* out = dx + row.index * columns;
  row.each([&](int k, int c) {
    auto v = value.at(k, c);
    const auto u = up.at(k, c);
#pragma unroll
    for (int i = 0; i < Layout::kWidth; ++i) v.lane[i] *= u.lane[i] - dot;
    put_lanes(out + c, v, add);
  });
}

}  // namespace

void softmax_forward(const Tensor& x, Tensor& y) {
  if (x.numel() == 0) return;
  const int64_t rows = x.shape().rows(), columns = x.size(-1);
  visit_real(x.dtype(), "softmax", [&](auto tag) {
    using T = decltype(tag);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    visit_row_layout<T>(
        rows, columns,
        [&](auto layout, const Launch& how) {
          launch("softmax", softmax_rows<T, decltype(layout)>, how, in, out, rows, columns);
        },
        in, out);
  });
}

void softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Into into) {
  if (y.numel() == 0) return;
  const int64_t rows = y.shape().rows(), columns = y.size(-1);
  visit_real(y.dtype(), "softmax", [&](auto tag) {
    using T = decltype(tag);
    const T *value = y.data<T>(), *up = dy.data<T>();
    T* out = dx.data<T>();
    visit_row_layout<T>(
        rows, columns,
        [&](auto layout, const Launch& how) {
          launch("softmax", softmax_rows_backward<T, decltype(layout)>, how, value, up, out, rows,
                 columns, into == Into::add);
        },
        value, up, out);
  });
}

}  // namespace enas::cuda
