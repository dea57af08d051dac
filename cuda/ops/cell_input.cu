// Kernels of ops/cell_input.h, a thread an element: the tensors are small, so many threads with
// little work each beat wide loads.
#include "ops/cell_input.h"

#include "cuda/cells.cuh"

namespace enas::cuda {
namespace {

template <class T>
struct Part {  // x [rows, columns] * mask, or x where mask is null
  const T *x, *mask;
  int64_t columns;
};

// Threads run over the columns of out [rows, a.columns + b.columns] = [a | b].
template <class T>
__global__ void masked_columns(Part<T> a, Part<T> b, T* __restrict__ out, int64_t rows) {
  const int64_t width = a.columns + b.columns;
  const int64_t at = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (at >= width) return;
  const bool first = at < a.columns;
  const int64_t columns = first ? a.columns : b.columns, c = first ? at : at - a.columns;
  const T* x = first ? a.x : b.x;
  const T* mask = first ? a.mask : b.mask;
  for (int64_t r = blockIdx.y; r < rows; r += gridDim.y) {
    const T value = x[r * columns + c];
    out[r * width + at] = mask != nullptr ? value * mask[r * columns + c] : value;
  }
}

template <class T>
__global__ void masked_sum(const T* __restrict__ product, const T* __restrict__ mask,
                           T* __restrict__ dx, int64_t n, bool add) {
  const int64_t stride = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += stride) {
    const T g = product[i] * mask[i];
    dx[i] = add ? dx[i] + g : g;
  }
}

template <class T>
Part<T> part(const Tensor& x, const Tensor& mask) {
  if (!x.defined()) return {nullptr, nullptr, 0};
  return {x.data<T>(), mask.defined() ? mask.data<T>() : nullptr, x.size(1)};
}

}  // namespace

void masked_columns(const Tensor& x, const Tensor& mask_x, const Tensor& s, const Tensor& mask_s,
                    Tensor& out) {
  if (out.numel() == 0) return;
  visit_real(out.dtype(), "cell input", [&](auto tag) {
    using T = decltype(tag);
    launch("cell input", masked_columns<T>, row_launch(out.size(0), out.size(1)),
           part<T>(x, mask_x), part<T>(s, mask_s), out.data<T>(), out.size(0));
  });
}

void masked_add(const Tensor& product, const Tensor& mask, Tensor& dx, Into into) {
  if (dx.numel() == 0) return;
  visit_real(dx.dtype(), "cell input", [&](auto tag) {
    using T = decltype(tag);
    launch("cell input", masked_sum<T>, {dim3(blocks_for(dx.numel(), 256))}, product.data<T>(),
           mask.data<T>(), dx.data<T>(), dx.numel(), into == Into::add);
  });
}

}  // namespace enas::cuda
