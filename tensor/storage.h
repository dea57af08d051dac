// Tensor storage: counted blocks from a caching pool. Fresh memory costs more in page faults than
// most ops cost in arithmetic, so freed blocks are kept, and slabs are 2 MiB-aligned and advised to
// be huge pages.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "tensor/device.h"

namespace enas {

// Blocks under 64 KiB come from free lists of their size class (four classes an octave), larger
// ones best-fit from split and coalesced free ranges: with the limit at 1 MiB, random children
// left 1.3 to 1.7 times their peak in free lists. Never returns memory to the system before its
// end. Thread-safe.
class MemoryPool {
 public:
  static constexpr size_t kSlab = size_t{2} << 20;
  static constexpr size_t kLarge = size_t{64} << 10;
  struct Stats {
    size_t slabs = 0, slab_bytes = 0;       // obtained from the system
    size_t live_bytes = 0, peak_bytes = 0;  // handed out now, and at most
  };

  MemoryPool() = default;
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;
  ~MemoryPool();
  // 64-byte aligned; throws Error{memory} where the system has none. `bytes` must be handed back to
  // put().
  void* get(size_t bytes);
  void put(void* block, size_t bytes) noexcept;
  Stats stats() const;
  void reset_peak();
  // Fills every block handed out with 0xff bytes (NaN as a float): finds reads of uninitialised
  // memory.
  void set_poison(bool on) { poison_ = on; }

  static size_t class_bytes(size_t bytes);  // what a request is rounded up to

 private:
  static constexpr size_t kClasses = 64;
  static size_t class_index(size_t bytes);
  char* new_slab(size_t bytes);
  void refill(size_t index, size_t size);
  void* get_small(size_t index, size_t size);
  void put_small(void* block, size_t index, size_t size);
  void* get_large(size_t size);
  void put_large(char* block, size_t size);

  struct FreeBlock {
    FreeBlock* next;
  };
  class Lock;
  class Exchange;
  mutable std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
  std::array<FreeBlock*, kClasses> free_{};
  char* carve_ = nullptr;  // the part of the newest small slab that no class has taken
  size_t carve_left_ = 0;
  std::map<char*, size_t> ranges_;              // free large ranges by address, to coalesce
  std::set<std::pair<size_t, char*>> by_size_;  // the same by size, for best fit
  std::vector<std::pair<char*, size_t>> slabs_;
  Stats stats_;
  std::atomic<bool> poison_{false};
};

MemoryPool& memory_pool();

// A counted block. On the CPU the header lies in front of its data, so that one pool call makes
// both; a GPU's block has its header alone here.
class Storage {
 public:
  static Storage* create(size_t bytes, Device device);  // count 1
  void retain() noexcept { count_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    // A sole owner needs no atomic subtraction (5 ns).
    if (unique() || count_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }
  bool unique() const noexcept { return count_.load(std::memory_order_acquire) == 1; }
  void* data() noexcept { return data_; }
  size_t bytes() const noexcept { return bytes_; }
  // Raised by whoever changes values in place after others may have saved them (the optimizers).
  uint32_t version() const noexcept { return version_; }
  void bump_version() noexcept { ++version_; }

 private:
  static constexpr size_t kHeader = 64;
  Storage(size_t bytes, void* data, Device device) : device_(device), bytes_(bytes), data_(data) {}
  void destroy() noexcept;

  std::atomic<int32_t> count_{1};
  uint32_t version_ = 0;
  Device device_;
  size_t bytes_;
  void* data_;
};

}  // namespace enas
