// Every kernel file includes this first. It gives the CUDA vocabulary in either world: nvcc's own,
// or, with ENAS_CUDA_ON_HOST, that of the shim (cuda/host/), under which g++ compiles the same
// source and runs each CUDA thread as a fiber, with checks. Kernels use only what both offer:
//   threadIdx blockIdx blockDim gridDim, __syncthreads, __syncwarp, warp shuffles (xor, down, idx)
//   under a full mask, atomicAdd/atomicCAS/atomicExch/atomicMax on 32 and 64-bit integers, __ldg,
//   __threadfence, the types float2 float4 int4 uint4, ENAS_SHARED and Shared<T> for shared memory.
#pragma once
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <utility>

#ifdef ENAS_CUDA_ON_HOST
#include "cuda/host/shim.h"
#else
#include "cuda/stream.h"
#endif

#include "cuda/runtime.h"

namespace enas::cuda {

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr unsigned kWarp = 32;

struct Launch {
  dim3 blocks = dim3(1), threads = dim3(256);
  size_t shared_bytes = 0;
};
// Blocks for n items, `items` a block; at most `most`: kernels stride over the rest.
inline unsigned blocks_for(int64_t n, int64_t items, int64_t most = 65535) {
  const int64_t blocks = (n + items - 1) / items;
  return static_cast<unsigned>(blocks < most ? blocks : most);
}

#ifndef ENAS_CUDA_ON_HOST
// The block's dynamic shared memory.
#define ENAS_SHARED(name) extern __shared__ __align__(128) unsigned char name[]

// `count` elements at a byte offset of the shared memory. A raw pointer here; on the host each
// access is checked for bounds, races and uninitialised reads.
template <class T>
class Shared {
 public:
  __device__ __forceinline__ Shared(unsigned char* shared, size_t offset, size_t /*count*/)
      : data_(reinterpret_cast<T*>(shared + offset)) {}
  __device__ __forceinline__ T get(size_t i) const { return data_[i]; }
  __device__ __forceinline__ void set(size_t i, T value) const { data_[i] = value; }
  template <class Vector>  // elements i, i + 1, ... as one vector
  __device__ __forceinline__ Vector get_as(size_t i) const {
    return *reinterpret_cast<const Vector*>(data_ + i);
  }
  template <class Vector>
  __device__ __forceinline__ void set_as(size_t i, Vector value) const {
    *reinterpret_cast<Vector*>(data_ + i) = value;
  }

 private:
  T* data_;
};

// Queues kernel(args...); a grid of no blocks is no work. An error names the op.
template <class... P, class... A>
void launch(const char* op, void (*kernel)(P...), const Launch& how, A&&... args) {
  if (how.blocks.x == 0 || how.blocks.y == 0 || how.blocks.z == 0) return;
  if (!begin_launch(op)) return;
  if (how.shared_bytes > (size_t{48} << 10)) {
    allow_shared_memory(op, reinterpret_cast<const void*>(kernel), how.shared_bytes);
  }
  kernel<<<how.blocks, how.threads, how.shared_bytes, stream()>>>(
      static_cast<P>(std::forward<A>(args))...);
  check_launch(op);
}

// The same with all blocks on the machine at once, so that they may wait for each other.
template <class... P, class... A>
void launch_cooperative(const char* op, void (*kernel)(P...), const Launch& how, A&&... args) {
  if (how.blocks.x == 0 || how.blocks.y == 0 || how.blocks.z == 0) return;
  if (!begin_launch(op)) return;
  const void* entry = reinterpret_cast<const void*>(kernel);
  if (how.shared_bytes > (size_t{48} << 10)) allow_shared_memory(op, entry, how.shared_bytes);
  std::tuple<P...> values(static_cast<P>(std::forward<A>(args))...);
  std::apply(
      [&](P&... value) {
        void* places[] = {&value..., nullptr};
        cudaLaunchCooperativeKernel(entry, how.blocks, how.threads, places, how.shared_bytes,
                                    stream());
      },
      values);
  check_launch(op);
}
#endif

}  // namespace enas::cuda
