// What programs ask about the GPU beside memory and transfers (tensor/device.h): whether it can be
// used, what stands on the machine, what was counted, and a mode that counts without a GPU.
// Implemented in cuda/ and, where kernels run on the CPU, in cuda/host/; a build without CUDA
// declares it only, so ask `if constexpr (kWithCuda)` first.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "tensor/device.h"

namespace enas::cuda {

// Why --device cuda cannot run here, in words; empty where it can. Loads the driver, no library.
std::string unavailable();
std::string device_name();  // "NVIDIA H100 80GB HBM3, sm_90, 79 GiB, driver 13.0"; for run.json

// Why no matrix product can run here, in words; empty where it can. Opens the library.
std::string blas_unavailable();
std::string blas_name();  // library, version, math and workspace, for run.json

// The arithmetic of float products: all 24 bits of the operands (the default), or TF32's 11 at
// several times the rate. ENAS_CUDA_MATH=f32|tf32 chooses at start, set_math() later.
enum class Math : uint8_t { f32, tf32 };
void set_math(Math math);
Math math();

struct Counters {
  uint64_t launches = 0;          // of kernels; a gemm is one
  uint64_t gemms = 0, flops = 0;  // flops of the gemms alone: 2 m n k each
  uint64_t gemm_bytes = 0;        // their operands and results, each once
  uint64_t uploads = 0, upload_bytes = 0;
  uint64_t device_allocations = 0;  // cudaMalloc, cudaMallocHost: none in a warm step
  uint64_t waits = 0;               // host waits for all queued work: download()
  uint64_t late_waits = 0;          // finish_download() of a copy that had not arrived
  uint64_t upload_waits = 0;        // upload() while all staging was still in flight
  uint64_t live_bytes = 0, peak_bytes = 0, reserved_bytes = 0;
  uint64_t handed_out_bytes = 0;  // of all blocks since the last reset
};
Counters& counters();                              // cuda/counters.cpp, as are the next four
std::map<std::string, uint64_t> launches_by_op();  // since the last reset_counters()
void reset_counters();  // to zero, but for live and reserved bytes; the peak starts at what is live

// Count only: for --plan on a machine without a GPU. Memory is reserved address space that nobody
// can read, uploads and copies do nothing, downloads give zeros, launches and gemms are counted and
// not run. To be switched while no tensor lives on the device.
void count_only(bool on);
bool counting();

}  // namespace enas::cuda
