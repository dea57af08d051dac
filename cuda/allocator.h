// The caching allocator of device memory. One stream runs everything in order, so a freed block may
// be handed out at once: later work waits for earlier. Blocks under 64 KiB come from free lists of
// their size class, larger ones best-fit from split and coalesced ranges of big slabs. Device
// memory holds none of the bookkeeping, and where slabs come from is the caller's, so that it is
// tested without a GPU.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cuda/runtime.h"

namespace enas::cuda {

// What the allocator asks of the device. The last three may be absent.
struct MemorySource {
  std::function<void*(size_t bytes)> obtain;  // 256-byte aligned; null: there is no more
  std::function<void(void* slab, size_t bytes)> give_back;  // once all queued work is done
  std::function<size_t()> free_bytes;                       // for the text of an error
  std::function<void(void* at, int byte, size_t count)> fill;
  // The first of `count` bytes that is not `byte`; count where all are.
  std::function<size_t(const void* at, int byte, size_t count)> first_other;
};

// Thread-safe.
class Allocator {
 public:
  static constexpr size_t kAlign = 256;
  static constexpr size_t kLarge = size_t{64} << 10;
  static constexpr size_t kSmallSlab = size_t{2} << 20;  // for blocks under kLarge
  static constexpr size_t kSlab = size_t{64}
                                  << 20;  // least; an eighth of what is reserved, if more
  static constexpr size_t kMostSlab = size_t{1} << 30;
  static constexpr size_t kGuard = 1024;
  static constexpr int kGuardByte = 0xa5;

  // Counts device_allocations and live, peak and reserved bytes there.
  Allocator(MemorySource source, Counters& counters);
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;
  ~Allocator();  // gives every slab back

  // 256-byte aligned. Where the device has no more, first gives back every slab that is free as a
  // whole; then throws Error{memory}. `bytes` must be handed back to put().
  void* get(size_t bytes);
  void put(void* block, size_t bytes) noexcept;
  void release_free_slabs();

  // Fills every block handed out with 0xff bytes, NaN as a float: finds reads of uninitialised
  // memory.
  void set_poison(bool on) { poison_ = on; }
  // Puts known bytes on both sides of each block. Before the first block only.
  void set_guard(bool on);
  // Throws Error{internal} if a block freed since the last call, or a live one, was overrun, or
  // freed twice.
  void check_guards(const char* where);

  static size_t class_bytes(size_t bytes);  // what a request is rounded up to

 private:
  static constexpr size_t kClasses = 32;
  static size_t class_index(size_t size);
  char* take(size_t size);
  char* take_small(size_t size);
  char* take_large(size_t size);
  void give_small(char* block, size_t size);
  void give_large(char* block, size_t size);
  char* obtain(size_t bytes);
  size_t release_free();
  [[noreturn]] void refuse(size_t bytes);
  void place_guards(char* raw, size_t bytes, size_t size);
  void look_at(const char* block, size_t bytes);

  MemorySource source_;
  Counters& counters_;
  std::mutex busy_;
  std::array<std::vector<char*>, kClasses> free_;
  std::vector<char*> small_slabs_;
  char* carve_ = nullptr;  // the part of the newest small slab that no class has taken
  size_t carve_left_ = 0;
  std::map<char*, size_t> slabs_;               // of large blocks, by address
  std::map<char*, size_t> ranges_;              // free ranges by address; none crosses slabs
  std::set<std::pair<size_t, char*>> by_size_;  // the same by size, for best fit
  bool poison_ = false, guard_ = false;
  size_t live_blocks_ = 0;              // of this allocator: others share its counters
  std::map<const char*, size_t> live_;  // with guards: block and bytes
  std::string damage_;                  // with guards: what was found first
};

// The memory of count_only(): reserved address space that nobody can read (cuda/counters.cpp).
Allocator& counting_memory();

}  // namespace enas::cuda
