// The instructions that CUDA C++ has no word for, each with its twin for the shim (cuda/host/),
// which runs them in program order. No other file has inline PTX.
#pragma once
#include "cuda/launch.cuh"

namespace enas::cuda {

// Adds to a counter in global memory and returns what it was. What this block wrote before (behind
// a __syncthreads) is visible to whoever reads the sum this way, and what those wrote is visible
// here.
__device__ __forceinline__ unsigned int add_acquire_release(unsigned int* counter,
                                                            unsigned int value) {
#ifdef ENAS_CUDA_ON_HOST
  return atomicAdd(counter, value);
#else
  unsigned int before;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;"
               : "=r"(before)
               : "l"(__cvta_generic_to_global(counter)), "r"(value)
               : "memory");
  return before;
#endif
}

}  // namespace enas::cuda
