#include "cuda/host/memory.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

#include "cuda/host/faults.h"
#include "cuda/runtime.h"
#include "tensor/asan.h"
#include "tensor/check.h"

namespace enas::cuda::host {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kMostReserved = size_t{64} << 30, kLeastReserved = size_t{1} << 30;
constexpr uint32_t kPattern = 0xfff1a5c3u;  // NaN as f32 and f64, and no index
constexpr size_t kAlign = 256;              // of blocks
constexpr char kAfterRelease[] = "a kernel wrote to device memory after its release";
constexpr size_t kLarge = size_t{1} << 20;
constexpr size_t kTidy = size_t{32} << 20;  // in use before trim() looks

size_t round_up(size_t bytes, size_t step) { return (bytes + step - 1) / step * step; }

int new_pages(size_t bytes) {
  const int file = memfd_create("enas device memory", MFD_CLOEXEC);
  if (file >= 0 && ftruncate(file, static_cast<off_t>(bytes)) == 0) return file;
  if (file >= 0) ::close(file);
  return -1;
}

// At `place` if that is not null.
char* map(char* place, size_t bytes, int protection, int file) {
  const int flags = MAP_SHARED | MAP_NORESERVE | (place == nullptr ? 0 : MAP_FIXED);
  void* at = mmap(place, bytes, protection, flags, file, 0);
  return at == MAP_FAILED ? nullptr : static_cast<char*>(at);
}

// What surrounds a block: as many bytes as the longest zone, from any of four phases.
struct Pattern {
  unsigned char bytes[2 * kAlign + 4];
  Pattern() {
    for (size_t i = 0; i < sizeof(bytes); ++i)
      bytes[i] = static_cast<unsigned char>(kPattern >> (8 * (i % 4)));
  }
  const unsigned char* at(const char* place) const {
    return bytes + reinterpret_cast<uintptr_t>(place) % 4;
  }
};
const Pattern pattern;

bool is_pattern(const char* at, const char* end) {
  return std::memcmp(at, pattern.at(at), static_cast<size_t>(end - at)) == 0;
}
void fill_pattern(char* at, const char* end) {
  std::memcpy(at, pattern.at(at), static_cast<size_t>(end - at));
}
bool all_ones(const char* at, size_t bytes) {
  return *at == '\xff' && std::memcmp(at, at + 1, bytes - 1) == 0;
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
  for (reserved_ = kMostReserved; reserved_ >= kLeastReserved; reserved_ /= 2) {
    const int file = new_pages(reserved_);
    if (file < 0) continue;
    base_ = map(nullptr, reserved_, PROT_NONE, file);
    if (base_ != nullptr) alias_ = map(nullptr, reserved_, PROT_READ | PROT_WRITE, file);
    ::close(file);
    if (alias_ != nullptr) break;
    if (base_ != nullptr) munmap(base_, reserved_);
    base_ = nullptr;
  }
  check(base_ != nullptr, ErrorKind::memory, "cuda on the CPU",
        "the system refused an address range for device memory");
  tell_faults_in(base_, reserved_);
  pthread_atfork(nullptr, nullptr, [] { memory().part_from_parent(); });
}

// After a fork, in the child: its own copy of the pages, as of all other memory.
void Memory::part_from_parent() {
  const size_t bytes = round_up(used_, kPage);
  const int file = new_pages(reserved_);
  const bool copied = file >= 0 && pwrite(file, alias_, bytes, 0) == static_cast<ssize_t>(bytes) &&
                      map(base_, reserved_, PROT_NONE, file) != nullptr &&
                      map(alias_, reserved_, PROT_READ | PROT_WRITE, file) != nullptr;
  if (!copied) _exit(static_cast<int>(ErrorKind::memory));
  ::close(file);
}

// 256, 512, 768, 1024, then four steps an octave.
size_t Memory::capacity_for(size_t bytes) {
  const size_t step = bytes <= 1024 ? kAlign : std::bit_floor(bytes - 1) / 4;
  return round_up(std::max(bytes, size_t{1}), step);
}

bool Memory::holds(const void* at) const {
  const char* p = static_cast<const char*>(at);
  return p >= base_ && p < base_ + reserved_;
}
char* Memory::alias(const void* at) const {
  return alias_ + (static_cast<const char*>(at) - base_);
}

void Memory::fill_zones(char* block, const Block& b) {
  char* at = alias(block);
  fill_pattern(at - kZone, at);
  fill_pattern(at + b.bytes, at + round_up(b.bytes, kAlign) + kZone);
  asan_poison(block - kZone, kZone);
  asan_unpoison(block, b.bytes);
  asan_poison(block + b.bytes, b.capacity - b.bytes + kZone);
}

std::string Memory::damage(const char* block, const Block& b) const {
  const char* at = alias(block);
  const bool before = !is_pattern(at - kZone, at);
  if (!before && is_pattern(at + b.bytes, at + round_up(b.bytes, kAlign) + kZone)) return "";
  return std::string("a kernel wrote ") + (before ? "before" : "behind") + " a block of " +
         std::to_string(b.bytes) + " bytes of device memory";
}

void Memory::check_free(const char* where) {
  for (const auto& [capacity, block] : free_) {
    if (all_ones(alias(block), capacity)) continue;
    std::memset(alias(block), 0xff, capacity);
    fail(ErrorKind::internal, where, kAfterRelease);
  }
}

// A released block of that size, or of up to twice as much if it is large; or null.
char* Memory::take_released(size_t bytes, size_t* capacity) {
  const auto found = free_.lower_bound(bytes);
  const size_t most = bytes < kLarge ? bytes : 2 * bytes;
  if (found == free_.end() || found->first > most) return nullptr;
  char* block = found->second;
  *capacity = found->first;
  free_.erase(found);
  if (!all_ones(alias(block), *capacity)) {
    std::memset(alias(block), 0xff, *capacity);
    released_damage_ = kAfterRelease;
  }
  return block;
}

char* Memory::take_new(size_t capacity) {
  const size_t need = capacity + 2 * kZone;
  check(need <= reserved_ - used_, ErrorKind::memory, "cuda on the CPU", reserved_ >> 20,
        " MiB of device memory are used up");
  char* block = base_ + used_ + kZone;
  used_ += need;
  std::memset(alias(block), 0xff, capacity);
  ++counters().device_allocations;
  counters().reserved_bytes += need;
  return block;
}

char* Memory::allocate(size_t bytes) {
  if (base_ == nullptr) reserve();
  Block b{bytes, capacity_for(bytes)};
  char* block = take_released(b.capacity, &b.capacity);
  if (block == nullptr) block = take_new(b.capacity);
  fill_zones(block, b);
  live_[block] = b;
  Counters& count = counters();
  count.live_bytes += bytes;
  count.peak_bytes = std::max(count.peak_bytes, count.live_bytes);
  return block;
}

void Memory::release(void* block, size_t bytes) {
  char* at = static_cast<char*>(block);
  const auto found = live_.find(at);
  if (found == live_.end() || found->second.bytes != bytes) {
    released_damage_ = "release of " + std::to_string(bytes) + " bytes that were not allocated so";
    return;
  }
  const Block b = found->second;
  const std::string text = damage(at, b);
  if (!text.empty()) released_damage_ = text;
  std::memset(alias(at), 0xff, b.capacity);
  asan_poison(at, b.capacity);
  free_.emplace(b.capacity, at);
  live_.erase(found);
  counters().live_bytes -= bytes;
  if (used_ > kTidy) trim();
}

// Gives back what lies above the last block that lives, where that is most: opening and closing
// the range takes time for each page of it.
void Memory::trim() {
  const auto last = std::prev(live_.end());
  const size_t end =
      live_.empty() ? 0 : static_cast<size_t>(last->first - base_) + last->second.capacity + kZone;
  if (end > used_ / 2) return;
  std::erase_if(free_, [&](const auto& item) { return item.second >= base_ + end; });
  const size_t from = round_up(end, kPage);
  madvise(alias_ + from, round_up(used_, kPage) - from, MADV_REMOVE);
  mprotect(base_ + from, round_up(used_, kPage) - from, PROT_NONE);
  counters().reserved_bytes -= used_ - end;
  used_ = end;
}

void Memory::check_released(const char* where) {
  if (released_damage_.empty()) return;
  const std::string text = std::exchange(released_damage_, "");
  fail(ErrorKind::internal, where, text);
}

void Memory::check_guards(const char* where) {
  for (const auto& [block, b] : live_) {
    const std::string text = damage(block, b);
    if (text.empty()) continue;
    fill_zones(block, b);  // told once
    fail(ErrorKind::internal, where, text);
  }
  check_released(where);
}

bool Memory::is_live(const void* at) const {
  const char* p = static_cast<const char*>(at);
  auto next = live_.upper_bound(const_cast<char*>(p));
  if (next == live_.begin()) return false;
  const auto& [block, b] = *std::prev(next);
  return p <= block + b.bytes;
}

void Memory::open() {
  if (used_ > 0) mprotect(base_, round_up(used_, kPage), PROT_READ | PROT_WRITE);
}
void Memory::close() {
  if (used_ > 0) mprotect(base_, round_up(used_, kPage), PROT_NONE);
}

void* on_host(const void* device) {
  return memory().holds(device) ? memory().alias(device) : const_cast<void*>(device);
}

}  // namespace enas::cuda::host
