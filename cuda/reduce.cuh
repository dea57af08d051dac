// Sums and maxima over a warp and a block, in a fixed tree: the same bits in every run.
#pragma once
#include "cuda/launch.cuh"

namespace enas::cuda {

struct Sum {
  template <class T>
  __device__ static T join(T a, T b) {
    return a + b;
  }
};
struct Max {  // NaN wins, as in the CPU's row statistics
  template <class T>
  __device__ static T join(T a, T b) {
    return a != a ? a : (b != b ? b : (a < b ? b : a));
  }
};

template <class Join, class T>
__device__ __forceinline__ T warp_reduce(T value) {
#pragma unroll
  for (unsigned step = kWarp / 2; step > 0; step /= 2) {
    value = Join::join(value, __shfl_xor_sync(kAllLanes, value, static_cast<int>(step)));
  }
  return value;
}

// Over all threads of a one-dimensional block (a multiple of 32); every thread gets the result.
// scratch: 32 elements of shared memory, free for others' use after the call.
template <class Join, class T>
__device__ T block_reduce(T value, const Shared<T>& scratch) {
  value = warp_reduce<Join>(value);
  const unsigned warps = blockDim.x / kWarp, warp = threadIdx.x / kWarp;
  if (threadIdx.x % kWarp == 0) scratch.set(warp, value);
  __syncthreads();
  T total = scratch.get(0);
  for (unsigned w = 1; w < warps; ++w) total = Join::join(total, scratch.get(w));
  __syncthreads();
  return total;
}

}  // namespace enas::cuda
