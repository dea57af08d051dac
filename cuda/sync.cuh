// Protocols between blocks, all of them: fences cannot be tested on the CPU, so they are kept here.
#pragma once
#include "cuda/launch.cuh"
#include "cuda/ptx.cuh"

namespace enas::cuda {

// True in every thread of the block that arrives last: what the other blocks wrote before is
// visible to it. counter: a word of zeroed_words(), left zero again. shared: one word of shared
// memory.
__device__ inline bool last_block(unsigned int* counter, const Shared<unsigned int>& shared) {
  __syncthreads();  // this block's results first
  if (threadIdx.x == 0) {
    const unsigned int blocks = gridDim.x * gridDim.y * gridDim.z;
    const unsigned int arrived = add_acquire_release(counter, 1u);
    if (arrived == blocks - 1) atomicExch(counter, 0u);
    shared.set(0, arrived == blocks - 1 ? 1u : 0u);
  }
  __syncthreads();
  return shared.get(0) != 0;
}

// Leaves the first index that does not fit for the host to report.
__device__ inline void report_fault(Fault* fault, FaultOp op, long long index, long long position,
                                    long long limit) {
  if (atomicCAS(&fault->claimed, 0u, 1u) != 0u) return;
  fault->op = op;
  fault->index = index;
  fault->position = position;
  fault->limit = limit;
}

}  // namespace enas::cuda
