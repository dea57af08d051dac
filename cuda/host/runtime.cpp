// The device functions of tensor/device.h and cuda/runtime.h for kernels that run on the CPU. What
// is queued is done at once.
#include "cuda/runtime.h"

#include <cstring>
#include <memory>
#include <mutex>

#include "cuda/allocator.h"
#include "cuda/host/memory.h"
#include "tensor/check.h"
#include "tensor/device.h"

namespace enas::cuda {
namespace {

using host::memory;
using host::on_host;
using Lock = std::lock_guard<std::recursive_mutex>;

constexpr size_t kZeroedBytes = 64;
constexpr int kCountedProcessors = 132;  // while counting only: those of an H100
constexpr int kProcessors = 4;  // few, so that kernels stride over their work in small tests

// Memory that holds zeros at first and lives as long as the process; no tensor's, so not counted.
void* zeroed(size_t bytes) {
  const Lock lock(host::runtime_mutex());
  const Counters before = counters();
  void* block = memory().allocate(bytes);
  counters() = before;
  std::memset(on_host(block), 0, bytes);
  return block;
}

// Faults reported so far: a download begun before a report carries the fault that it told.
uint64_t faults_reported = 0;

void raise_fault(Fault found, uint64_t faults_before) {  // a copy: the record is cleared
  memory().check_released("download");
  if (found.claimed == 0 || faults_before != faults_reported) return;
  ++faults_reported;
  *on_host(fault()) = Fault{};
  throw Error(fault_kind(found), fault_text(found));
}

}  // namespace

struct PendingDownload {
  std::unique_ptr<char[]> values;
  size_t bytes = 0;
  uint64_t launches = 0;  // made before it
  uint64_t faults_before = 0;
  Fault found = {};
};

std::string unavailable() { return ""; }
std::string device_name() {
  return counting() ? "no GPU: launches are counted, not run" : "kernels on the CPU";
}
int multiprocessors() { return counting() ? kCountedProcessors : kProcessors; }

Fault* fault() {
  static Fault* const record = static_cast<Fault*>(zeroed(sizeof(Fault)));
  return record;
}

unsigned int* zeroed_words() {
  static unsigned int* const words = static_cast<unsigned int*>(zeroed(kZeroedBytes));
  return words;
}

void host::check_zeroed_words(const char* where) {
  unsigned int* words = on_host(zeroed_words());
  for (size_t i = 0; i < kZeroedBytes / sizeof(unsigned int); ++i) {
    if (words[i] == 0) continue;
    const unsigned int found = words[i];
    clear_zeroed_words();
    fail(ErrorKind::internal, where, "the kernel left word ", i, " of zeroed_words() at ", found);
  }
}

void host::clear_zeroed_words() { std::memset(on_host(zeroed_words()), 0, kZeroedBytes); }

void* allocate(size_t bytes) {
  if (counting()) return counting_memory().get(bytes);
  const Lock lock(host::runtime_mutex());
  return memory().allocate(bytes);
}

void release(void* block, size_t bytes) noexcept {
  if (counting()) return counting_memory().put(block, bytes);
  const Lock lock(host::runtime_mutex());
  memory().release(block, bytes);
}

void check_guards(const char* where) {
  const Lock lock(host::runtime_mutex());
  memory().check_guards(where);
  memory().check_free(where);
}

void upload(void* to, const void* from, size_t bytes) {
  const Lock lock(host::runtime_mutex());
  if (bytes == 0) return;
  ++counters().uploads;
  counters().upload_bytes += bytes;
  if (!counting()) std::memcpy(on_host(to), from, bytes);
}

void copy(void* to, const void* from, size_t bytes) {
  const Lock lock(host::runtime_mutex());
  if (bytes > 0 && !counting()) std::memmove(on_host(to), on_host(from), bytes);
}

void download(void* to, const void* from, size_t bytes) {
  const Lock lock(host::runtime_mutex());
  ++counters().waits;
  if (counting()) {
    std::memset(to, 0, bytes);
    return;
  }
  if (bytes > 0) std::memcpy(to, on_host(from), bytes);
  raise_fault(*on_host(fault()), faults_reported);
}

PendingDownload* begin_download(const void* from, size_t bytes) {
  const Lock lock(host::runtime_mutex());
  auto pending = std::make_unique<PendingDownload>();
  pending->values = std::make_unique<char[]>(bytes);  // zeros
  pending->bytes = bytes;
  if (counting()) return pending.release();
  pending->launches = counters().launches;
  pending->faults_before = faults_reported;
  pending->found = *on_host(fault());
  if (bytes > 0) std::memcpy(pending->values.get(), on_host(from), bytes);
  return pending.release();
}

// A GPU has hardly made a copy behind which nothing was queued: that counts as a late wait.
void finish_download(PendingDownload* pending, void* to) {
  const Lock lock(host::runtime_mutex());
  const std::unique_ptr<PendingDownload> owner(pending);
  if (pending->bytes > 0) std::memcpy(to, pending->values.get(), pending->bytes);
  if (counting()) return;
  if (pending->launches == counters().launches) ++counters().late_waits;
  raise_fault(pending->found, pending->faults_before);
}

void drop_download(PendingDownload* pending) noexcept { delete pending; }

Scratch::Scratch(size_t bytes) : data_(allocate(bytes)), bytes_(bytes) {}
Scratch::~Scratch() { release(data_, bytes_); }

}  // namespace enas::cuda
