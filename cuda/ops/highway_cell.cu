// Kernels of ops/highway_cell.h around its products: all gates of a node in one pass. The
// arithmetic is ops/cell_rows.h.
#include "ops/highway_cell.h"

#include "cuda/cells.cuh"
#include "ops/cell_rows.h"

namespace enas::cuda {
namespace {

template <class F, class T>
__global__ void highway_forward(const T* __restrict__ s, T* __restrict__ z, T* __restrict__ y,
                                int64_t rows, int64_t n) {
  const int64_t i = thread_index();
  if (i >= n) return;
  scalar::One at;
  for (int64_t r = blockIdx.y; r < rows; r += gridDim.y) {
    scalar::highway_at(F{}, s + r * n, z + r * 2 * n, y + r * n, n, i, at);
  }
}

template <class F, class T>
__global__ void highway_backward(const T* __restrict__ gates, const T* __restrict__ s,
                                 const T* __restrict__ dy, T* __restrict__ dz, T* __restrict__ ds,
                                 bool add, int64_t rows, int64_t n) {
  const int64_t i = thread_index();
  if (i >= n) return;
  scalar::One at;
  for (int64_t r = blockIdx.y; r < rows; r += gridDim.y) {
    T* const ds_row = ds != nullptr ? ds + r * n : nullptr;
    scalar::highway_back_at(F{}, gates + r * 2 * n, s + r * n, dy + r * n, dz + r * 2 * n, ds_row,
                            add, n, i, at);
  }
}

}  // namespace

void highway_gates_forward(const Tensor& s, Activation f, Tensor& z, Tensor& y) {
  if (y.numel() == 0) return;
  const int64_t rows = s.size(0), n = s.size(1);
  visit_real(s.dtype(), "highway_cell", [&](auto tag) {
    using T = decltype(tag);
    scalar::visit_activation(f, [&](auto functor) {
      launch("highway_cell", highway_forward<decltype(functor), T>, row_launch(rows, n),
             s.data<T>(), z.data<T>(), y.data<T>(), rows, n);
    });
  });
}

void highway_gates_backward(const Tensor& gates, const Tensor& s, const Tensor& dy, Activation f,
                            Tensor& dz, Tensor* ds, Into into) {
  if (dy.numel() == 0) return;
  const int64_t rows = s.size(0), n = s.size(1);
  visit_real(s.dtype(), "highway_cell", [&](auto tag) {
    using T = decltype(tag);
    T* const down = ds != nullptr ? ds->data<T>() : nullptr;
    scalar::visit_activation(f, [&](auto functor) {
      launch("highway_cell", highway_backward<decltype(functor), T>, row_launch(rows, n),
             gates.data<T>(), s.data<T>(), dy.data<T>(), dz.data<T>(), down, into == Into::add,
             rows, n);
    });
  });
}

}  // namespace enas::cuda
