// Kernels of ops/dropout.h: masks from the same Philox blocks as on the CPU, and their use.
#include "ops/dropout.h"

#include "cuda/elementwise.cuh"

namespace enas::cuda {
namespace {

// mask[i] = random.uniform(i) >= rate ? keep : 0. One Philox block gives four neighbours.
template <class T>
__global__ void draw_mask(Random random, double rate, T keep, T* __restrict__ mask, int64_t n) {
  for (int64_t block = thread_index(); 4 * block < n; block += thread_count()) {
    const PhiloxBlock drawn = random.block(static_cast<uint64_t>(block));
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const double u = static_cast<double>(Random::uniform_of(drawn.word[k]));
      if (4 * block + k < n) mask[4 * block + k] = u >= rate ? keep : T(0);
    }
  }
}

template <class T>
struct Product {
  __device__ T operator()(T x, T mask) const { return x * mask; }
};

// y (+)= x * the row's value; a warp a row.
template <class T>
__global__ void scale_rows(const T* __restrict__ x, const T* __restrict__ mask, T* __restrict__ y,
                           bool add, int64_t rows, int64_t columns) {
  for (int64_t r = warp_index(); r < rows; r += warp_stride()) {
    const T factor = mask[r];
    for (int64_t i = r * columns + lane_index(); i < (r + 1) * columns; i += kWarp) {
      y[i] = add ? y[i] + x[i] * factor : x[i] * factor;
    }
  }
}

}  // namespace

void dropout_mask_fill(Tensor& mask, double rate, const Random& random) {
  visit_real(mask.dtype(), "dropout_mask", [&](auto tag) {
    using T = decltype(tag);
    const int64_t n = mask.numel();
    launch("dropout_mask", draw_mask<T>,
           Launch{dim3(blocks_for(n, 4 * kMapThreads)), dim3(kMapThreads)}, random, rate,
           static_cast<T>(1 / (1 - rate)), mask.data<T>(), n);
  });
}

void dropout_apply(const Tensor& x, const Tensor& mask, bool per_row, Tensor& y, Into into) {
  const int64_t n = x.numel(), period = mask.numel();
  const bool adds = into == Into::add;
  if (n == 0) return;
  visit_real(x.dtype(), "dropout", [&](auto tag) {
    using T = decltype(tag);
    const T *in = x.data<T>(), *factors = mask.data<T>();
    T* out = y.data<T>();
    if (per_row) {
      launch("dropout", scale_rows<T>, warps_for(period), in, factors, out, adds, period,
             x.size(-1));
    } else if (period == n) {
      launch_map("dropout", Product<T>{}, out, adds, n, in, factors);
    } else {
      launch_rows("dropout", Product<T>{}, out, adds, n / period, period, in, factors);
    }
  });
}

}  // namespace enas::cuda
