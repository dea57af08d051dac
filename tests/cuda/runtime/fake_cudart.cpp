#include "tests/cuda/runtime/fake_cudart.h"

#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <string>

namespace enas::fake {
namespace {

struct Event {
  uint64_t at = 0;  // passed when so many queued operations are done
};
struct Stream {
  std::deque<std::function<void()>> queue;
  uint64_t queued = 0, done = 0;

  void add(std::function<void()> work) {
    queue.push_back(std::move(work));
    ++queued;
  }
  void run_to(uint64_t at) {
    for (; done < at; ++done) {
      queue.front()();
      queue.pop_front();
    }
  }
};
Stream& only_stream() {
  static Stream stream;
  return stream;
}
Event& event_of(cudaEvent_t event) { return *reinterpret_cast<Event*>(event); }

std::map<const char*, size_t> device, pinned;  // blocks
size_t device_bytes = 0;

bool inside(const std::map<const char*, size_t>& blocks, const void* at, size_t bytes) {
  const auto* from = static_cast<const char*>(at);
  auto block = blocks.upper_bound(from);
  if (block == blocks.begin()) return false;
  --block;
  return from + bytes <= block->first + block->second;
}

cudaError_t answer(cudaError_t& knob) {
  const cudaError_t now = knob;
  knob = cudaSuccess;
  return now;
}

}  // namespace

Knobs& knobs() {
  static Knobs all;
  return all;
}
Calls& calls() {
  static Calls all;
  return all;
}
void run_queued() { only_stream().run_to(only_stream().queued); }

}  // namespace enas::fake

using namespace enas::fake;

cudaError_t cudaGetDeviceCount(int* count) {
  *count = knobs().devices == cudaSuccess ? 1 : 0;
  return knobs().devices;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = knobs().driver;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr which, int) {
  switch (which) {
    case cudaDevAttrComputeCapabilityMajor:
      *value = knobs().major;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = knobs().minor;
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = 7;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = 232448;
      break;
    default:
      return cudaErrorInvalidValue;
  }
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::memset(properties, 0, sizeof(*properties));
  std::strcpy(properties->name, "Fake GPU");
  properties->major = knobs().major;
  properties->minor = knobs().minor;
  properties->totalGlobalMem = size_t{79} << 30;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaGetLastError() { return answer(knobs().last_error); }
const char* cudaGetErrorName(cudaError_t) { return "cudaErrorOfTheFake"; }
const char* cudaGetErrorString(cudaError_t) { return "words of the fake"; }

cudaError_t cudaMalloc(void** block, size_t bytes) {
  if (device_bytes + bytes > knobs().room) return cudaErrorMemoryAllocation;
  *block = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  device.emplace(static_cast<char*>(*block), bytes);
  device_bytes += bytes;
  ++calls().mallocs;
  return cudaSuccess;
}
cudaError_t cudaFree(void* block) {
  if (block == nullptr) return cudaSuccess;
  const auto found = device.find(static_cast<char*>(block));
  if (found == device.end()) return cudaErrorInvalidValue;
  run_queued();
  device_bytes -= found->second;
  device.erase(found);
  std::free(block);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** block, size_t bytes) {
  *block = std::malloc(bytes);
  pinned.emplace(static_cast<char*>(*block), bytes);
  ++calls().mallocs;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = knobs().room - device_bytes;
  *total = knobs().room;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned int) {
  *stream = reinterpret_cast<cudaStream_t>(&only_stream());
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) {
  ++calls().synchronizes;
  run_queued();
  return answer(knobs().sync_error);
}

// To and from pageable memory the host waits, as the real one may.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t) {
  const bool to_device = kind != cudaMemcpyDeviceToHost,
             from_device = kind != cudaMemcpyHostToDevice;
  if ((to_device && !inside(device, to, bytes)) || (from_device && !inside(device, from, bytes)))
    return cudaErrorIllegalAddress;
  only_stream().add([=] { std::memcpy(to, from, bytes); });
  const bool pageable =
      (!to_device && !inside(pinned, to, bytes)) || (!from_device && !inside(pinned, from, bytes));
  if (pageable) run_queued();
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* at, int byte, size_t bytes, cudaStream_t) {
  if (!inside(device, at, bytes)) return cudaErrorIllegalAddress;
  only_stream().add([=] { std::memset(at, byte, bytes); });
  return cudaSuccess;
}
cudaError_t cudaMemset2DAsync(void* at, size_t pitch, int byte, size_t width, size_t height,
                              cudaStream_t) {
  if (!inside(device, at, pitch * (height - 1) + width)) return cudaErrorIllegalAddress;
  only_stream().add([=] {
    for (size_t row = 0; row < height; ++row)
      std::memset(static_cast<char*>(at) + row * pitch, byte, width);
  });
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int) {
  *event = reinterpret_cast<cudaEvent_t>(new Event);  // the runtime keeps its events for good
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  event_of(event).at = only_stream().queued;
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  return only_stream().done >= event_of(event).at ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  only_stream().run_to(event_of(event).at);
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) {
  ++calls().attributes;
  return cudaSuccess;
}
