// Kernels of ops/lstm_cell.h around its products: all gates of a step in one pass. The arithmetic
// is ops/cell_rows.h.
#include "ops/lstm_cell.h"

#include "cuda/cells.cuh"
#include "ops/cell_rows.h"

namespace enas::cuda {
namespace {

template <class T>
__global__ void lstm_forward(const T* __restrict__ c, T* __restrict__ z, T* __restrict__ h_next,
                             T* __restrict__ c_next, int64_t rows, int64_t n) {
  const int64_t j = own_column();
  if (j >= n) return;
  scalar::One at;
  for (int64_t r = blockIdx.y; r < rows; r += gridDim.y) {
    scalar::lstm_at(c + r * n, z + r * 4 * n, h_next + r * n, c_next + r * n, n, j, at);
  }
}

template <class T>
__device__ __forceinline__ T* row_or_null(T* p, int64_t at) {
  return p != nullptr ? p + at : nullptr;
}

template <class T>
__global__ void lstm_backward(const T* __restrict__ gates, const T* __restrict__ c,
                              const T* __restrict__ c_next, const T* __restrict__ dh,
                              const T* __restrict__ dc_next, T* __restrict__ dz, T* __restrict__ dc,
                              bool add, int64_t rows, int64_t n) {
  const int64_t j = own_column();
  if (j >= n) return;
  scalar::One at;
  for (int64_t r = blockIdx.y; r < rows; r += gridDim.y) {
    scalar::lstm_back_at(gates + r * 4 * n, c + r * n, c_next + r * n, row_or_null(dh, r * n),
                         row_or_null(dc_next, r * n), dz + r * 4 * n, row_or_null(dc, r * n), add,
                         n, j, at);
  }
}

template <class T>
const T* data_or_null(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}

}  // namespace

void lstm_gates_forward(const Tensor& c, Tensor& z, Tensor& h_next, Tensor& c_next) {
  if (c.numel() == 0) return;
  const int64_t rows = c.size(0), n = c.size(1);
  visit_real(c.dtype(), "lstm_cell", [&](auto tag) {
    using T = decltype(tag);
    launch("lstm_cell", lstm_forward<T>, row_launch(rows, n), c.data<T>(), z.data<T>(),
           h_next.data<T>(), c_next.data<T>(), rows, n);
  });
}

void lstm_gates_backward(const Tensor& gates, const Tensor& c, const Tensor& c_next,
                         const Tensor& dh, const Tensor& dc_next, Tensor& dz, Tensor* dc,
                         Into into) {
  if (c.numel() == 0) return;
  const int64_t rows = c.size(0), n = c.size(1);
  visit_real(c.dtype(), "lstm_cell", [&](auto tag) {
    using T = decltype(tag);
    T* const down = dc != nullptr ? dc->data<T>() : nullptr;
    launch("lstm_cell", lstm_backward<T>, row_launch(rows, n), gates.data<T>(), c.data<T>(),
           c_next.data<T>(), data_or_null<T>(dh), data_or_null<T>(dc_next), dz.data<T>(), down,
           into == Into::add, rows, n);
  });
}

}  // namespace enas::cuda
