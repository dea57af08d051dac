#include "cuda/host/memory.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

#include "cuda/runtime.h"
#include "tensor/check.h"

namespace enas::cuda::host {
namespace {

constexpr size_t kMostReserved = size_t{64} << 30, kLeastReserved = size_t{1} << 30;
constexpr uint32_t kPattern = 0xfff1a5c3u;  // NaN as f32 and f64, and no index

// The range for the signal handler, and what stood before it.
char* guarded = nullptr;
size_t guarded_bytes = 0;
struct sigaction earlier;

void on_fault(int, siginfo_t* info, void*) {
  const char* at = static_cast<const char*>(info->si_addr);
  if (at >= guarded && at < guarded + guarded_bytes) {
    constexpr char kText[] =
        "host code touched device memory: a tensor on the GPU read or written through a pointer\n";
    [[maybe_unused]] const auto written = write(STDERR_FILENO, kText, sizeof(kText) - 1);
  }
  sigaction(SIGSEGV, &earlier, nullptr);  // the access comes again
}

char* map(size_t bytes, int protection, int file) {
  void* at = mmap(nullptr, bytes, protection, MAP_SHARED | MAP_NORESERVE, file, 0);
  return at == MAP_FAILED ? nullptr : static_cast<char*>(at);
}

uint32_t pattern_at(size_t i) { return kPattern >> (8 * (i % 4)) & 0xffu; }

bool is_pattern(const char* at, const char* end) {
  for (size_t i = reinterpret_cast<uintptr_t>(at); at < end; ++at, ++i) {
    if (static_cast<unsigned char>(*at) != pattern_at(i)) return false;
  }
  return true;
}
void fill_pattern(char* at, const char* end) {
  for (size_t i = reinterpret_cast<uintptr_t>(at); at < end; ++at, ++i) {
    *at = static_cast<char>(pattern_at(i));
  }
}

}  // namespace

std::recursive_mutex& runtime_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

// Never destroyed: tensors of static duration may outlive every other static.
Memory& memory() {
  static Memory* const all = new Memory;
  return *all;
}

void Memory::reserve() {
  const int file = memfd_create("enas device memory", MFD_CLOEXEC);
  for (reserved_ = kMostReserved; base_ == nullptr; reserved_ /= 2) {
    check(file >= 0 && reserved_ >= kLeastReserved, ErrorKind::memory, "cuda on the CPU",
          "the system refused an address range for device memory");
    if (ftruncate(file, static_cast<off_t>(reserved_)) != 0) continue;
    base_ = map(reserved_, PROT_NONE, file);
    alias_ = base_ == nullptr ? nullptr : map(reserved_, PROT_READ | PROT_WRITE, file);
    if (alias_ != nullptr) break;
    if (base_ != nullptr) munmap(base_, reserved_);
    base_ = nullptr;
  }
  ::close(file);
  guarded = base_;
  guarded_bytes = reserved_;
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, &earlier);
}

// 256, 512, 768, 1024, then four steps an octave.
size_t Memory::class_bytes(size_t bytes) {
  const size_t step = bytes <= 1024 ? 256 : std::bit_floor(bytes - 1) / 4;
  return (std::max(bytes, size_t{1}) + step - 1) / step * step;
}

bool Memory::holds(const void* at) const {
  const char* p = static_cast<const char*>(at);
  return p >= base_ && p < base_ + reserved_;
}
char* Memory::alias(const void* at) const {
  return alias_ + (static_cast<const char*>(at) - base_);
}

void Memory::fill_zones(char* block, size_t bytes) {
  char* at = alias(block);
  fill_pattern(at - kZone, at);
  fill_pattern(at + bytes, at + class_bytes(bytes) + kZone);
}

std::string Memory::damage(const char* block, size_t bytes) const {
  const char* at = alias(block);
  const bool before = !is_pattern(at - kZone, at);
  if (!before && is_pattern(at + bytes, at + class_bytes(bytes) + kZone)) return "";
  return std::string("a kernel wrote ") + (before ? "before" : "behind") + " a block of " +
         std::to_string(bytes) + " bytes of device memory";
}

char* Memory::allocate(size_t bytes) {
  if (base_ == nullptr) reserve();
  const size_t size = class_bytes(bytes);
  std::vector<char*>& free = free_[size];
  char* block = nullptr;
  if (free.empty()) {
    const size_t need = size + 2 * kZone;
    check(need <= reserved_ - used_, ErrorKind::memory, "cuda on the CPU", reserved_ >> 20,
          " MiB of device memory are used up");
    block = base_ + used_ + kZone;
    used_ += need;
    std::memset(alias(block), 0xff, size);
    ++counters().device_allocations;
    counters().reserved_bytes += need;
  } else {
    block = free.back();
    free.pop_back();
    const char* at = alias(block);
    if (std::any_of(at, at + size, [](char c) { return c != '\xff'; })) {
      std::memset(alias(block), 0xff, size);
      released_damage_ = "a kernel wrote to device memory after its release";
    }
  }
  fill_zones(block, bytes);
  live_[block] = bytes;
  Counters& count = counters();
  count.live_bytes += bytes;
  count.peak_bytes = std::max(count.peak_bytes, count.live_bytes);
  return block;
}

void Memory::release(void* block, size_t bytes) {
  char* at = static_cast<char*>(block);
  const auto found = live_.find(at);
  if (found == live_.end() || found->second != bytes) {
    released_damage_ = "release of " + std::to_string(bytes) + " bytes that were not allocated so";
    return;
  }
  const std::string text = damage(at, bytes);
  if (!text.empty()) released_damage_ = text;
  std::memset(alias(at), 0xff, class_bytes(bytes));
  free_[class_bytes(bytes)].push_back(at);
  live_.erase(found);
  counters().live_bytes -= bytes;
}

void Memory::check_released(const char* where) {
  if (released_damage_.empty()) return;
  const std::string text = std::exchange(released_damage_, "");
  fail(ErrorKind::internal, where, text);
}

void Memory::check_guards(const char* where) {
  for (const auto& [block, bytes] : live_) {
    const std::string text = damage(block, bytes);
    if (text.empty()) continue;
    fill_zones(block, bytes);  // told once
    fail(ErrorKind::internal, where, text);
  }
  check_released(where);
}

void Memory::open() {
  if (used_ > 0) mprotect(base_, (used_ + 4095) / 4096 * 4096, PROT_READ | PROT_WRITE);
}
void Memory::close() {
  if (used_ > 0) mprotect(base_, (used_ + 4095) / 4096 * 4096, PROT_NONE);
}

void* on_host(const void* device) {
  return memory().holds(device) ? memory().alias(device) : const_cast<void*>(device);
}

}  // namespace enas::cuda::host
