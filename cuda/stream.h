// The part of the runtime that speaks CUDA's types: for launch.cuh and for the sources of cuda/.
#pragma once
#include <cuda_runtime.h>

#include <cstddef>

namespace enas::cuda {

cudaStream_t stream();  // the one stream; makes the context on first use

// Turns a CUDA error into Error{device}, or Error{memory}, that names the op or function.
void check_cuda(cudaError_t error, const char* where);
// After a launch: its error, and with ENAS_CUDA_CHECK=1 that of its run.
void check_launch(const char* op);
// Lets a kernel use more than 48 KiB of dynamic shared memory; remembered for each kernel.
void allow_shared_memory(const char* op, const void* kernel, size_t bytes);

}  // namespace enas::cuda
