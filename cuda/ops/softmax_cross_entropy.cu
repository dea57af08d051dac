// Kernels of ops/softmax_cross_entropy.h. Forward reads a row once and, in place, writes its
// gradient while it is in registers; the block that finishes last sums the rows' losses in a fixed
// order. A row whose target does not fit counts nothing: loss and gradient are zeros.
#include "ops/softmax_cross_entropy.h"

#include "cuda/rows.cuh"
#include "cuda/sync.cuh"

namespace enas::cuda {
namespace {

constexpr const char* kOp = "softmax_cross_entropy";

// dx = exp(x - m) scale - share at the target.
template <class T, class Layout>
__device__ __forceinline__ void write_gradient(const RowThreads<Layout>& row,
                                               const RowValues<T, Layout>& values, T top, T scale,
                                               int target, T share, T* dx, bool add) {
  row.each([&](int k, int c) {
    auto v = values.at(k, c);
#pragma unroll
    for (int i = 0; i < Layout::kWidth; ++i) {
      v.lane[i] = std::exp(v.lane[i] - top) * scale - (c + i == target ? share : T(0));
    }
    put_lanes(dx + c, v, add);
  });
}
template <class T, class Layout>
__device__ __forceinline__ void write_zeros(const RowThreads<Layout>& row, T* dx) {
  row.each([&](int, int c) { store_lanes(dx + c, Lanes<T, Layout::kWidth>{}); });
}

// What forward reads and leaves. gradient is x itself, or null; kept [rows, 2] is read by backward
// only, and null with a gradient.
template <class T>
struct Forward {
  const T* x;
  const int32_t* targets;
  T *kept, *gradient;
  double* losses;  // [rows]
  T* loss;
  double factor;
  int64_t rows, columns;
  Fault* fault;
  unsigned int* counter;
};

// One row's loss, statistics and gradient. x and gradient may be one buffer: every thread has read
// what it needs of others' elements, the target's, when the sum is there.
template <class T, class Layout>
__device__ __forceinline__ void forward_row(const Forward<T>& f, const RowThreads<Layout>& row,
                                            const Shared<T>& scratch) {
  const int target = f.targets[row.index];
  const int64_t start = row.index * f.columns;
  if (target < 0 || target >= f.columns) {
    if (f.gradient != nullptr) write_zeros(row, f.gradient + start);
    if (row.lane != 0) return;
    report_fault(f.fault, FaultOp::softmax_cross_entropy, target, row.index, f.columns);
    f.losses[row.index] = 0;
    return;
  }
  const RowValues<T, Layout> values(row, f.x);
  const T picked = f.x[start + target];
  const RowStatistics<T> its = row_statistics(row, values, scratch);
  const T inverse = 1 / its.total;
  if (row.lane == 0) {
    f.losses[row.index] = static_cast<double>(its.top) - static_cast<double>(picked) +
                          std::log(static_cast<double>(its.total));
    if (f.kept != nullptr) {
      f.kept[2 * row.index] = its.top;
      f.kept[2 * row.index + 1] = inverse;
    }
  }
  if (f.gradient == nullptr) return;
  const T share = static_cast<T>(f.factor);
  write_gradient(row, values, its.top, inverse * share, target, share, f.gradient + start, false);
}

template <class T, class Layout>
__global__ void __launch_bounds__(kBlockRowThreads, 1) cross_entropy_rows(const Forward<T> f) {
  ENAS_SHARED(shared);
  const Shared<T> scratch(shared, 0, kWarp);
  const Shared<double> sums(shared, kWarp * sizeof(T), kWarp);
  const Shared<unsigned int> last(shared, kWarp * (sizeof(T) + sizeof(double)), 1);
  const RowThreads<Layout> row(f.columns);
  if (row.index < f.rows) forward_row(f, row, scratch);
  if (!last_block(f.counter, last)) return;
  double total = 0;
  for (int64_t r = threadIdx.x; r < f.rows; r += blockDim.x) total += f.losses[r];
  total = block_reduce<Sum>(total, sums);
  if (threadIdx.x == 0) *f.loss = static_cast<T>(total * f.factor);  // 0 * inf of no rows
}

template <class T, class Layout>
__global__ void __launch_bounds__(kBlockRowThreads, 1)
    cross_entropy_rows_backward(const T* __restrict__ x, const int32_t* targets, const T* kept,
                                const T* dy, double factor, T* __restrict__ dx, int64_t rows,
                                int64_t columns, bool add) {
  const RowThreads<Layout> row(columns);
  if (row.index >= rows) return;
  const int target = targets[row.index];
  T* out = dx + row.index * columns;
  if (target < 0 || target >= columns) {
    if (!add) write_zeros(row, out);
    return;
  }
  const RowValues<T, Layout> values(row, x);
  const T share = static_cast<T>(factor * static_cast<double>(*dy));
  const T top = kept[2 * row.index], inverse = kept[2 * row.index + 1];
  write_gradient(row, values, top, inverse * share, target, share, out, add);
}

// x *= dy, which is 1 in every step of one child: then nothing is read.
template <class T, int width>
__global__ void scale_by_scalar(T* __restrict__ x, const T* __restrict__ dy, int64_t n) {
  const T share = *dy;
  if (share == 1) return;
  const int64_t threads = int64_t{gridDim.x} * blockDim.x;
  const int64_t mine = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  for (int64_t i = mine * width; i < n; i += threads * width) {
    auto v = load_lanes<width>(x + i);
#pragma unroll
    for (int k = 0; k < width; ++k) v.lane[k] *= share;
    store_lanes(x + i, v);
  }
}

template <class T>
void forward(Forward<T> f, const Tensor& targets, double factor, Tensor& y) {
  Scratch losses(static_cast<size_t>(f.rows) * sizeof(double));
  f.targets = targets.data<int32_t>();
  f.losses = losses.as<double>();
  f.loss = y.data<T>();
  f.factor = factor;
  f.fault = fault();
  f.counter = zeroed_words();
  visit_row_layout<T>(
      std::max<int64_t>(f.rows, 1), f.columns,
      [&](auto layout, Launch how) {
        how.shared_bytes += kWarp * sizeof(double) + sizeof(unsigned int);
        launch(kOp, cross_entropy_rows<T, decltype(layout)>, how, f);
      },
      f.x);
}

}  // namespace

void cross_entropy_forward(const Tensor& logits, const Tensor& targets, double factor, Tensor& kept,
                           Tensor& y) {
  visit_real(logits.dtype(), kOp, [&](auto tag) {
    using T = decltype(tag);
    Forward<T> f = {};
    f.x = logits.data<T>(), f.kept = kept.data<T>();
    f.rows = logits.size(0), f.columns = logits.size(1);
    forward(f, targets, factor, y);
  });
}

void cross_entropy_in_place(Tensor& logits, const Tensor& targets, double factor, Tensor& y) {
  visit_real(logits.dtype(), kOp, [&](auto tag) {
    using T = decltype(tag);
    Forward<T> f = {};
    f.x = f.gradient = logits.data<T>();
    f.rows = logits.size(0), f.columns = logits.size(1);
    forward(f, targets, factor, y);
  });
}

void cross_entropy_backward(const Tensor& logits, const Tensor& targets, const Tensor& kept,
                            const Tensor& dy, double factor, Tensor& dx, Into into) {
  const int64_t rows = logits.size(0), columns = logits.size(1);
  visit_real(logits.dtype(), kOp, [&](auto tag) {
    using T = decltype(tag);
    const T* x = logits.data<T>();
    T* out = dx.data<T>();
    visit_row_layout<T>(
        rows, columns,
        [&](auto layout, const Launch& how) {
          launch(kOp, cross_entropy_rows_backward<T, decltype(layout)>, how, x,
                 targets.data<int32_t>(), kept.data<T>(), dy.data<T>(), factor, out, rows, columns,
                 into == Into::add);
        },
        x, out);
  });
}

void cross_entropy_scale(Tensor& dx, const Tensor& dy) {
  visit_real(dx.dtype(), kOp, [&](auto tag) {
    using T = decltype(tag);
    constexpr int kWidth = 16 / sizeof(T);
    const int64_t n = dx.numel();
    T* out = dx.data<T>();
    const bool whole = n % kWidth == 0 && reinterpret_cast<uintptr_t>(out) % 16 == 0;
    const unsigned blocks = blocks_for(n, 256 * kWidth, 8 * multiprocessors());
    launch(kOp, whole ? scale_by_scalar<T, kWidth> : scale_by_scalar<T, 1>,
           Launch{dim3(blocks), dim3(256)}, out, dy.data<T>(), n);
  });
}

}  // namespace enas::cuda
