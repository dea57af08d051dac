// A CUDA runtime without a GPU: device memory is the host's, and what is queued on the stream runs
// as late as it may, when somebody waits. Tests turn its knobs.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cuda/stream.h"

namespace enas::fake {

struct Knobs {
  cudaError_t devices = cudaSuccess;  // answer of cudaGetDeviceCount
  int driver = 13000, major = 9, minor = 0;
  size_t room = size_t{1} << 30;         // bytes of device memory
  cudaError_t last_error = cudaSuccess;  // of the next cudaGetLastError
  cudaError_t sync_error = cudaSuccess;  // of the next cudaStreamSynchronize
};
Knobs& knobs();

struct Calls {
  uint64_t mallocs = 0, synchronizes = 0, attributes = 0;
};
Calls& calls();

void run_queued();  // as if the GPU had caught up

}  // namespace enas::fake
