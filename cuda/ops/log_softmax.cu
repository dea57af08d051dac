// Kernels of ops/log_softmax.h: a row is read once and written once.
#include "ops/log_softmax.h"

#include "cuda/rows.cuh"

namespace enas::cuda {
namespace {

template <class T, class Layout>
__global__ void __launch_bounds__(kBlockRowThreads, 1)
    log_softmax_rows(const T* __restrict__ x, T* __restrict__ y, int64_t rows, int64_t columns) {
  ENAS_SHARED(shared);
  const Shared<T> scratch(shared, 0, kWarp);
  const RowThreads<Layout> row(columns);
  if (row.index >= rows) return;
  const RowValues<T, Layout> values(row, x);
  const RowStatistics<T> its = row_statistics(row, values, scratch);
  const T log_total = std::log(its.total);
  T* out = y + row.index * columns;
  row.each([&](int k, int c) {
    auto v = values.at(k, c);
#pragma unroll
    for (int i = 0; i < Layout::kWidth; ++i) v.lane[i] = (v.lane[i] - its.top) - log_total;
    store_lanes(out + c, v);
  });
}

// dx = dy - exp(y) sum dy
template <class T, class Layout>
__global__ void __launch_bounds__(kBlockRowThreads, 1)
    log_softmax_rows_backward(const T* __restrict__ y, const T* __restrict__ dy, T* __restrict__ dx,
                              int64_t rows, int64_t columns, bool add) {
  ENAS_SHARED(shared);
  const Shared<T> scratch(shared, 0, kWarp);
  const RowThreads<Layout> row(columns);
  if (row.index >= rows) return;
  const RowValues<T, Layout> up(row, dy);
  const T total = up.template fold<Sum>(row, scratch, T(0), [](T u) { return u; });
  const T* value = y + row.index * columns;
  T* out = dx + row.index * columns;
  row.each([&](int k, int c) {
    auto u = up.at(k, c);
    const auto v = load_lanes<Layout::kWidth>(value + c);
#pragma unroll
    for (int i = 0; i < Layout::kWidth; ++i) u.lane[i] -= std::exp(v.lane[i]) * total;
    put_lanes(out + c, u, add);
  });
}

}  // namespace

void log_softmax_forward(const Tensor& x, Tensor& y) {
  if (x.numel() == 0) return;
  const int64_t rows = x.shape().rows(), columns = x.size(-1);
  visit_real(x.dtype(), "log_softmax", [&](auto tag) {
    using T = decltype(tag);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    visit_row_layout<T>(
        rows, columns,
        [&](auto layout, const Launch& how) {
          launch("log_softmax", log_softmax_rows<T, decltype(layout)>, how, in, out, rows, columns);
        },
        in, out);
  });
}

void log_softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Into into) {
  if (y.numel() == 0) return;
  const int64_t rows = y.shape().rows(), columns = y.size(-1);
  visit_real(y.dtype(), "log_softmax", [&](auto tag) {
    using T = decltype(tag);
    const T *value = y.data<T>(), *up = dy.data<T>();
    T* out = dx.data<T>();
    visit_row_layout<T>(
        rows, columns,
        [&](auto layout, const Launch& how) {
          launch("log_softmax", log_softmax_rows_backward<T, decltype(layout)>, how, value, up, out,
                 rows, columns, into == Into::add);
        },
        value, up, out);
  });
}

}  // namespace enas::cuda
