// Kernels of ops/plain_cell.h: the activation in place and back, a thread an element.
#include "ops/plain_cell.h"

#include "cuda/elementwise.cuh"
#include "ops/cell_rows.h"

namespace enas::cuda {
namespace {

template <class F, class T>
__global__ void activate(T* __restrict__ y, int64_t n) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    y[i] = F::f(y[i], 0.0f);
  }
}

template <class F, class T>
__global__ void activate_backward(const T* __restrict__ y, const T* __restrict__ dy,
                                  T* __restrict__ dz, int64_t n) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    dz[i] = F::df(y[i], dy[i], 0.0f);
  }
}

}  // namespace

void activation_forward(Activation f, Tensor& y) {
  if (y.numel() == 0) return;
  visit_real(y.dtype(), "plain_cell", [&](auto tag) {
    using T = decltype(tag);
    scalar::visit_activation(f, [&](auto functor) {
      launch("plain_cell", activate<decltype(functor), T>, {dim3(blocks_for(y.numel(), 256))},
             y.data<T>(), y.numel());
    });
  });
}

void activation_backward(Activation f, const Tensor& y, const Tensor& dy, Tensor& dz) {
  if (y.numel() == 0) return;
  visit_real(y.dtype(), "plain_cell", [&](auto tag) {
    using T = decltype(tag);
    scalar::visit_activation(f, [&](auto functor) {
      launch("plain_cell", activate_backward<decltype(functor), T>,
             {dim3(blocks_for(y.numel(), 256))}, y.data<T>(), dy.data<T>(), dz.data<T>(),
             y.numel());
    });
  });
}

}  // namespace enas::cuda
