// Between host and device without a wait: uploads go through a ring of pinned memory, downloads
// into pinned slots that an event says are full. The fault record comes with every download.
#include <cuda_runtime.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "cuda/runtime.h"
#include "cuda/stream.h"
#include "tensor/check.h"
#include "tensor/device.h"

namespace enas::cuda {

struct PendingDownload {
  char* pinned = nullptr;  // the fault record, then the data; none while counting only
  size_t capacity = 0, bytes = 0;
  cudaEvent_t arrived = nullptr;
  uint64_t faults_before = 0;
};

namespace {

constexpr size_t kRecord = 64;  // in front of a download's data
constexpr size_t kLeastSlot = 4096;

char* pinned_memory(size_t bytes, const char* where) {
  void* pinned = nullptr;
  check_cuda(cudaMallocHost(&pinned, bytes), where);
  ++counters().device_allocations;
  return static_cast<char*>(pinned);
}
cudaEvent_t new_event(const char* where) {
  cudaEvent_t event = nullptr;
  check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), where);
  return event;
}

// Waits for an event; whether it had to.
bool wait_for(cudaEvent_t event, const char* where) {
  const cudaError_t state = cudaEventQuery(event);
  if (state != cudaErrorNotReady) {
    check_cuda(state, where);
    return false;
  }
  cudaGetLastError();  // "not ready" is an answer, not an error of the next launch
  check_cuda(cudaEventSynchronize(event), where);
  return true;
}

// Chunks of pinned memory, filled in turn; a chunk is used again when its event has passed.
class Staging {
 public:
  static constexpr size_t kChunk = size_t{4} << 20, kChunks = 4;

  Staging() : memory_(pinned_memory(kChunk * kChunks, "upload")) {
    for (cudaEvent_t& event : sent_) event = new_event("upload");
  }

  void send(char* to, const char* host, size_t bytes) {
    while (bytes > 0) {
      if (used_ == kChunk) next_chunk();
      const size_t part = std::min(bytes, kChunk - used_);
      char* place = memory_ + chunk_ * kChunk + used_;
      std::memcpy(place, host, part);
      check_cuda(cudaMemcpyAsync(to, place, part, cudaMemcpyHostToDevice, stream()), "upload");
      used_ = std::min(kChunk, (used_ + part + 255) / 256 * 256);
      to += part;
      host += part;
      bytes -= part;
    }
  }

 private:
  // An event that was never recorded counts as passed.
  void next_chunk() {
    check_cuda(cudaEventRecord(sent_[chunk_], stream()), "upload");
    chunk_ = (chunk_ + 1) % kChunks;
    used_ = 0;
    if (wait_for(sent_[chunk_], "upload")) ++counters().upload_waits;
  }

  char* memory_;
  std::array<cudaEvent_t, kChunks> sent_{};
  size_t chunk_ = 0, used_ = 0;
};

Staging& staging() {
  static Staging* const kept = new Staging;
  return *kept;
}

std::vector<PendingDownload*>& idle_slots() {
  static auto* const kept = new std::vector<PendingDownload*>;
  return *kept;
}

// The smallest idle slot that is large enough, or a new one.
PendingDownload* take_slot(size_t bytes) {
  auto& idle = idle_slots();
  auto best = idle.end();
  for (auto slot = idle.begin(); slot != idle.end(); ++slot) {
    if ((*slot)->capacity < bytes) continue;
    if (best == idle.end() || (*slot)->capacity < (*best)->capacity) best = slot;
  }
  if (best != idle.end()) {
    PendingDownload* found = *best;
    idle.erase(best);
    return found;
  }
  auto* made = new PendingDownload;
  made->capacity = std::max(kLeastSlot, std::bit_ceil(bytes));
  made->pinned = pinned_memory(made->capacity, "begin_download");
  made->arrived = new_event("begin_download");
  return made;
}

// Faults reported so far: a download begun before a report carries the fault that it told.
uint64_t faults_reported = 0;

void raise_fault(const Fault& found, uint64_t faults_before) {
  if (found.claimed == 0 || faults_before != faults_reported) return;
  ++faults_reported;
  check_cuda(cudaMemsetAsync(fault(), 0, sizeof(Fault), stream()), "finish_download");
  throw Error(fault_kind(found), fault_text(found));
}

}  // namespace

void upload(void* to, const void* host, size_t bytes) {
  if (bytes == 0) return;
  ++counters().uploads;
  counters().upload_bytes += bytes;
  if (counting()) return;
  staging().send(static_cast<char*>(to), static_cast<const char*>(host), bytes);
}

void copy(void* to, const void* from, size_t bytes) {
  if (bytes == 0 || counting()) return;
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream()), "copy");
}

PendingDownload* begin_download(const void* from, size_t bytes) {
  if (counting()) {
    auto* counted = new PendingDownload;
    counted->bytes = bytes;
    return counted;
  }
  PendingDownload* slot = take_slot(kRecord + bytes);
  slot->bytes = bytes;
  slot->faults_before = faults_reported;
  const auto get = [&](char* to, const void* at, size_t count) {
    check_cuda(cudaMemcpyAsync(to, at, count, cudaMemcpyDeviceToHost, stream()), "begin_download");
  };
  get(slot->pinned, fault(), sizeof(Fault));
  if (bytes > 0) get(slot->pinned + kRecord, from, bytes);
  check_cuda(cudaEventRecord(slot->arrived, stream()), "begin_download");
  return slot;
}

void finish_download(PendingDownload* pending, void* host) {
  if (pending->pinned == nullptr) {
    if (pending->bytes > 0) std::memset(host, 0, pending->bytes);
    delete pending;
    return;
  }
  idle_slots().push_back(pending);
  if (wait_for(pending->arrived, "finish_download")) ++counters().late_waits;
  Fault found;
  std::memcpy(&found, pending->pinned, sizeof(Fault));
  if (pending->bytes > 0) std::memcpy(host, pending->pinned + kRecord, pending->bytes);
  raise_fault(found, pending->faults_before);
}

// Not waited for: the slot's next copy comes later in the stream, and a fault that this one carries
// is in the next download too.
void drop_download(PendingDownload* pending) noexcept {
  if (pending->pinned == nullptr) {
    delete pending;
  } else {
    idle_slots().push_back(pending);
  }
}

void download(void* host, const void* from, size_t bytes) {
  ++counters().waits;
  if (counting()) {
    std::memset(host, 0, bytes);
    return;
  }
  PendingDownload* slot = begin_download(from, 0);  // the fault record alone
  idle_slots().push_back(slot);
  if (bytes > 0)
    check_cuda(cudaMemcpyAsync(host, from, bytes, cudaMemcpyDeviceToHost, stream()), "download");
  check_cuda(cudaStreamSynchronize(stream()), "download");
  Fault found;
  std::memcpy(&found, slot->pinned, sizeof(Fault));
  raise_fault(found, slot->faults_before);
}

}  // namespace enas::cuda
