// Kernels of ops/softmax.h: a block a row, the row read twice from cache.
#include "ops/softmax.h"

#include <cmath>

#include "cuda/launch.cuh"
#include "cuda/reduce.cuh"

namespace enas::cuda {
namespace {

template <class T>
__global__ void softmax_rows(const T* __restrict__ x, T* __restrict__ y, int64_t columns) {
  ENAS_SHARED(shared);
  const Shared<T> scratch(shared, 0, kWarp);
  const T* in = x + blockIdx.x * columns;
  T* out = y + blockIdx.x * columns;
  T most = -INFINITY;
  for (int64_t c = threadIdx.x; c < columns; c += blockDim.x) most = Max::join(most, in[c]);
  most = block_reduce<Max>(most, scratch);
  T total = 0;
  for (int64_t c = threadIdx.x; c < columns; c += blockDim.x) {
    const T e = std::exp(in[c] - most);
    out[c] = e;
    total += e;
  }
  const T factor = 1 / block_reduce<Sum>(total, scratch);
  for (int64_t c = threadIdx.x; c < columns; c += blockDim.x) out[c] *= factor;
}

// dx = y (dy - sum(dy y))
template <class T>
__global__ void softmax_rows_backward(const T* __restrict__ y, const T* __restrict__ dy,
                                      T* __restrict__ dx, int64_t columns, bool add) {
  ENAS_SHARED(shared);
  const Shared<T> scratch(shared, 0, kWarp);
  const int64_t row = blockIdx.x * columns;
  T dot = 0;
  for (int64_t c = threadIdx.x; c < columns; c += blockDim.x) dot += y[row + c] * dy[row + c];
  dot = block_reduce<Sum>(dot, scratch);
  for (int64_t c = row + threadIdx.x; c < row + columns; c += blockDim.x) {
    const T g = y[c] * (dy[c] - dot);
    dx[c] = add ? dx[c] + g : g;
  }
}

// A block a row; no more threads than a row has work for.
template <class T>
Launch row_launch(const Tensor& x) {
  const int64_t columns = x.size(-1);
  const unsigned threads = columns <= 32 ? 32 : columns <= 512 ? 128 : 256;
  return {dim3(static_cast<unsigned>(x.shape().rows())), dim3(threads), kWarp * sizeof(T)};
}

}  // namespace

void softmax_forward(const Tensor& x, Tensor& y) {
  if (x.numel() == 0) return;
  visit_real(x.dtype(), "softmax", [&](auto tag) {
    using T = decltype(tag);
    launch("softmax", softmax_rows<T>, row_launch<T>(x), x.data<T>(), y.data<T>(), x.size(-1));
  });
}

void softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Into into) {
  if (y.numel() == 0) return;
  visit_real(y.dtype(), "softmax", [&](auto tag) {
    using T = decltype(tag);
    launch("softmax", softmax_rows_backward<T>, row_launch<T>(y), y.data<T>(), dy.data<T>(),
           dx.data<T>(), y.size(-1), into == Into::add);
  });
}

}  // namespace enas::cuda
