// Kernels of ops/cell_input.h, a thread an element: the tensors are small, so many threads with
// little work each beat wide loads.
#include "ops/cell_input.h"

#include "cuda/cells.cuh"
#include "cuda/reduce.cuh"
#include "ops/matmul.h"

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
  const int64_t at = thread_index();
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
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    const T g = product[i] * mask[i];
    dx[i] = add ? dx[i] + g : g;
  }
}

template <class T>
struct Target {  // [rows, columns], or null: not wanted
  T* to;
  int64_t columns;
  bool add;
};

// [a, b] (+)= dz w^T for w [a.columns + b.columns, n]: a warp a row of w, which it reads once for
// all rows of dz.
template <unsigned kRows, class T>
__global__ void few_rows_gradient(const T* __restrict__ dz, const T* __restrict__ w, Target<T> a,
                                  Target<T> b, unsigned rows, int64_t n) {
  const int64_t k = warp_index();
  const unsigned lane = lane_index();
  if (k >= a.columns + b.columns) return;
  const Target<T> out = k < a.columns ? a : b;
  if (out.to == nullptr) return;
  T sums[kRows] = {};
  for (int64_t j = lane; j < n; j += kWarp) {
    const T weight = w[k * n + j];
#pragma unroll
    for (unsigned r = 0; r < kRows; ++r) {
      if (r < rows) sums[r] += weight * dz[r * n + j];
    }
  }
  T* const column = out.to + (k < a.columns ? k : k - a.columns);
#pragma unroll
  for (unsigned r = 0; r < kRows; ++r) {
    const T g = warp_reduce<Sum>(sums[r]);
    if (lane != 0 || r >= rows) continue;
    column[r * out.columns] = out.add ? column[r * out.columns] + g : g;
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

void joined_gradient(const Tensor& dz, const Tensor& w, Tensor* dx, Into into_x, Tensor* ds,
                     Into into_s) {
  const int64_t rows = dz.size(0), n = dz.size(1);
  const int64_t from_x =
      dx != nullptr ? dx->size(1) : w.size(0) - (ds != nullptr ? ds->size(1) : 0);
  // One Var in both places: the two sums may not run side by side.
  const bool same = dx != nullptr && ds != nullptr && dx->same_storage(*ds);
  if (rows > kFewRows || same) {
    if (dx != nullptr) matmul(dz, w.slice(0, from_x), *dx, Transpose::no, Transpose::yes, into_x);
    if (ds != nullptr) {
      matmul(dz, w.slice(from_x, w.size(0)), *ds, Transpose::no, Transpose::yes, into_s);
    }
    return;
  }
  if (rows == 0 || (dx == nullptr && ds == nullptr)) return;
  visit_real(dz.dtype(), "cell input", [&](auto tag) {
    using T = decltype(tag);
    const auto target = [](Tensor* t, int64_t columns, Into into) {
      return Target<T>{t != nullptr ? t->data<T>() : nullptr, columns, into == Into::add};
    };
    visit_few_rows(rows, [&](auto most) {
      launch("cell input", few_rows_gradient<most.value, T>,
             {dim3(static_cast<unsigned>((w.size(0) * kWarp + 127) / 128)), dim3(128)},
             dz.data<T>(), w.data<T>(), target(dx, from_x, into_x),
             target(ds, w.size(0) - from_x, into_s), static_cast<unsigned>(rows), n);
    });
  });
}

}  // namespace enas::cuda
