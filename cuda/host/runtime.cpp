// The device functions of tensor/device.h and cuda/runtime.h for kernels that run on the CPU. What
// is queued is done at once.
#include "cuda/runtime.h"

#include <cstring>
#include <memory>
#include <mutex>

#include "cuda/host/machine.h"
#include "cuda/host/memory.h"
#include "tensor/check.h"
#include "tensor/device.h"

namespace enas::cuda {
namespace {

using host::memory;
using host::on_host;
using Lock = std::lock_guard<std::recursive_mutex>;

constexpr size_t kZeroedBytes = 64;

const char* name_of(FaultOp op) {
  switch (op) {
    case FaultOp::none:
      break;
    case FaultOp::embedding:
      return "embedding";
    case FaultOp::gather_rows:
      return "gather_rows";
    case FaultOp::pick:
      return "pick";
    case FaultOp::softmax_cross_entropy:
      return "softmax_cross_entropy";
  }
  return "a kernel";
}

// Memory that holds zeros at first and lives as long as the process; no tensor's, so not counted.
void* zeroed(size_t bytes) {
  const Lock lock(host::runtime_mutex());
  const Counters before = counters();
  void* block = memory().allocate(bytes);
  counters() = before;
  std::memset(on_host(block), 0, bytes);
  return block;
}

// What every wait of the host looks at.
void check_after_wait() {
  memory().check_released();
  Fault& record = *on_host(fault());
  if (record.claimed == 0) return;
  const Fault found = record;
  record = Fault{};
  fail(ErrorKind::data, name_of(found.op), "index ", found.index, " at position ", found.position,
       " is outside ", found.limit, " rows");
}

}  // namespace

struct PendingDownload {
  std::unique_ptr<char[]> values;
  size_t bytes = 0;
  uint64_t launches = 0;  // made before it
};

Counters& counters() {
  static Counters all;
  return all;
}

std::string unavailable() { return ""; }
std::string device_name() { return "kernels on the CPU"; }
int multiprocessors() { return 4; }

Fault* fault() {
  static Fault* const record = static_cast<Fault*>(zeroed(sizeof(Fault)));
  return record;
}

unsigned int* zeroed_words() {
  static unsigned int* const words = static_cast<unsigned int*>(zeroed(kZeroedBytes));
  return words;
}

void host::check_zeroed_words(const char* op) {
  unsigned int* words = on_host(zeroed_words());
  for (size_t i = 0; i < kZeroedBytes / sizeof(unsigned int); ++i) {
    if (words[i] == 0) continue;
    const unsigned int found = words[i];
    std::memset(words, 0, kZeroedBytes);
    fail(ErrorKind::internal, op, "the kernel left word ", i, " of zeroed_words() at ", found);
  }
}

void* allocate(size_t bytes) {
  const Lock lock(host::runtime_mutex());
  return memory().allocate(bytes);
}

void release(void* block, size_t bytes) noexcept {
  const Lock lock(host::runtime_mutex());
  memory().release(block, bytes);
}

void upload(void* to, const void* from, size_t bytes) {
  const Lock lock(host::runtime_mutex());
  if (bytes > 0) std::memcpy(on_host(to), from, bytes);
}

void download(void* to, const void* from, size_t bytes) {
  const Lock lock(host::runtime_mutex());
  ++counters().waits;
  check_after_wait();
  if (bytes > 0) std::memcpy(to, on_host(from), bytes);
}

void copy(void* to, const void* from, size_t bytes) {
  const Lock lock(host::runtime_mutex());
  if (bytes > 0) std::memmove(on_host(to), on_host(from), bytes);
}

PendingDownload* begin_download(const void* from, size_t bytes) {
  const Lock lock(host::runtime_mutex());
  auto pending = std::make_unique<PendingDownload>();
  pending->values = std::make_unique<char[]>(bytes);
  pending->bytes = bytes;
  pending->launches = counters().launches;
  if (bytes > 0) std::memcpy(pending->values.get(), on_host(from), bytes);
  return pending.release();
}

// A GPU has hardly made a copy behind which nothing was queued: that counts as a late wait.
void finish_download(PendingDownload* pending, void* to) noexcept(false) {
  const Lock lock(host::runtime_mutex());
  const std::unique_ptr<PendingDownload> owner(pending);
  if (to == nullptr) return;
  if (pending->launches == counters().launches) ++counters().late_waits;
  check_after_wait();
  if (pending->bytes > 0) std::memcpy(to, pending->values.get(), pending->bytes);
}

Scratch::Scratch(size_t bytes) : data_(allocate(bytes)), bytes_(bytes) {}
Scratch::~Scratch() { release(data_, bytes_); }

}  // namespace enas::cuda
