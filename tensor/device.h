// Where a tensor lives, and what this floor asks of a GPU.
#pragma once
#include <cstddef>
#include <cstdint>
#include <ostream>

#ifdef __CUDACC__
#define ENAS_HD __host__ __device__
#else
#define ENAS_HD
#endif

namespace enas {

enum class Device : uint8_t { cpu, cuda };
inline std::ostream& operator<<(std::ostream& out, Device d) {
  return out << (d == Device::cpu ? "cpu" : "cuda");
}

#ifdef ENAS_WITH_CUDA
constexpr bool kWithCuda = true;
#else
constexpr bool kWithCuda = false;
#endif

// One GPU, one stream: what is queued runs in order, and only download() and finish_download()
// wait. Implemented in cuda/ and, where kernels run on the CPU, in cuda/host/; a build without CUDA
// declares it only. Each throws Error{device} where no GPU answers.
namespace cuda {
void* allocate(size_t bytes);                               // 256-byte aligned, never null
void release(void* block, size_t bytes) noexcept;           // reused by later work of the stream
void upload(void* to, const void* host, size_t bytes);      // host may change at once
void download(void* host, const void* from, size_t bytes);  // waits for all that was queued
void copy(void* to, const void* from, size_t bytes);
// A download that is waited for later: the values as they are in the stream's order now.
struct PendingDownload;
PendingDownload* begin_download(const void* from, size_t bytes);
void finish_download(PendingDownload* pending, void* host);  // waits for that copy alone; frees it
void drop_download(PendingDownload* pending) noexcept;       // not wanted any more
}  // namespace cuda

}  // namespace enas
