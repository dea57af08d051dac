#include "tensor/storage.h"

#include <sys/mman.h>

#include <bit>
#include <cstring>
#include <new>
#include <thread>

#include "tensor/check.h"

namespace enas {

// A spin lock: held for some tens of nanoseconds, taken a few times a recorded op.
class MemoryPool::Lock {
 public:
  explicit Lock(const MemoryPool& pool) : flag_(pool.busy_) {
    while (flag_.test_and_set(std::memory_order_acquire)) std::this_thread::yield();
  }
  ~Lock() { flag_.clear(std::memory_order_release); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  std::atomic_flag& flag_;
};

namespace {
constexpr size_t kPage = 4096;
constexpr size_t kRefill = size_t{64} << 10;  // a small class takes this much of a slab at once

size_t round_up(size_t bytes, size_t step) { return (bytes + step - 1) / step * step; }

char* map(uintptr_t wish, size_t bytes) {
  void* place = mmap(reinterpret_cast<void*>(wish), bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return place == MAP_FAILED ? nullptr : static_cast<char*>(place);
}

// Aligned to kSlab and, where the system grants it, right under `above`, so that free ranges of
// neighbouring slabs coalesce. nullptr where the system has no more.
char* map_slab(char* above, size_t bytes) {
  constexpr size_t kSlab = MemoryPool::kSlab;
  const auto top = reinterpret_cast<uintptr_t>(above);
  char* slab = map(top > bytes ? top - bytes : 0, bytes);
  const auto astray = [&] { return reinterpret_cast<uintptr_t>(slab) % kSlab; };
  if (slab == nullptr || astray() == 0) return slab;
  munmap(slab, bytes);
  slab = map(0, bytes + kSlab);  // somewhere in it lies an aligned one
  if (slab == nullptr) return nullptr;
  const size_t skip = kSlab - astray();
  munmap(slab, skip);
  if (skip < kSlab) munmap(slab + skip + bytes, kSlab - skip);
  return slab + skip;
}
}  // namespace

// 64, 128, 192, 256, then four steps an octave: at most 25 % is wasted.
size_t MemoryPool::class_bytes(size_t bytes) {
  if (bytes >= kLarge) return round_up(bytes, kPage);
  if (bytes <= 256) return bytes == 0 ? 64 : round_up(bytes, 64);
  return round_up(bytes, std::bit_floor(bytes - 1) / 4);
}

size_t MemoryPool::class_index(size_t size) {
  if (size <= 256) return size / 64 - 1;
  const size_t octave = std::bit_floor(size - 1);
  return 4 + (static_cast<size_t>(std::countr_zero(octave)) - 8) * 4 +
         (size - octave) / (octave / 4) - 1;
}

MemoryPool::~MemoryPool() {
  for (const auto& [slab, bytes] : slabs_) munmap(slab, bytes);
}

char* MemoryPool::new_slab(size_t bytes) {
  bytes = round_up(bytes, kSlab);
  char* slab = map_slab(slabs_.empty() ? nullptr : slabs_.back().first, bytes);
  if (slab == nullptr) {
    fail(ErrorKind::memory, "memory pool", "the system refused ", bytes >> 20, " MiB beside ",
         stats_.slab_bytes >> 20, " MiB in use; try a smaller --batch or --hidden");
  }
  madvise(slab, bytes, MADV_HUGEPAGE);
  slabs_.emplace_back(slab, bytes);
  ++stats_.slabs;
  stats_.slab_bytes += bytes;
  return slab;
}

void MemoryPool::refill(size_t index, size_t size) {
  const size_t want = kRefill / size * size;
  if (carve_left_ < size) {
    carve_ = new_slab(kSlab);
    carve_left_ = kSlab;
  }
  const size_t take = std::min(want, carve_left_ / size * size);
  for (size_t at = take; at >= size; at -= size) {
    auto* block = reinterpret_cast<FreeBlock*>(carve_ + at - size);
    block->next = free_[index];
    free_[index] = block;
  }
  carve_ += take;
  carve_left_ -= take;
}

void* MemoryPool::get_large(size_t size) {
  auto fit = by_size_.lower_bound({size, nullptr});
  if (fit == by_size_.end()) {
    const size_t bytes = round_up(size, kSlab);
    put_large(new_slab(bytes), bytes);
    fit = by_size_.lower_bound({size, nullptr});
  }
  const auto [have, block] = *fit;
  by_size_.erase(fit);
  ranges_.erase(block);
  if (have > size) {
    ranges_.emplace(block + size, have - size);
    by_size_.emplace(have - size, block + size);
  }
  return block;
}

void MemoryPool::put_large(char* block, size_t size) {
  auto next = ranges_.lower_bound(block);
  if (next != ranges_.end() && block + size == next->first) {
    size += next->second;
    by_size_.erase({next->second, next->first});
    next = ranges_.erase(next);
  }
  if (next != ranges_.begin()) {
    const auto previous = std::prev(next);
    if (previous->first + previous->second == block) {
      by_size_.erase({previous->second, previous->first});
      block = previous->first;
      size += previous->second;
      ranges_.erase(previous);
    }
  }
  ranges_.emplace(block, size);
  by_size_.emplace(size, block);
}

void* MemoryPool::get(size_t bytes) {
  const size_t size = class_bytes(bytes);
  void* block = nullptr;
  {
    const Lock lock(*this);
    if (size >= kLarge) {
      block = get_large(size);
    } else {
      const size_t index = class_index(size);
      if (free_[index] == nullptr) refill(index, size);
      block = free_[index];
      free_[index] = free_[index]->next;
    }
    stats_.live_bytes += size;
    stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.live_bytes);
  }
  if (poison_.load(std::memory_order_relaxed)) std::memset(block, 0xff, bytes);
  return block;
}

void MemoryPool::put(void* block, size_t bytes) noexcept {
  const size_t size = class_bytes(bytes);
  const Lock lock(*this);
  stats_.live_bytes -= size;
  if (size >= kLarge) {
    put_large(static_cast<char*>(block), size);
  } else {
    auto* head = static_cast<FreeBlock*>(block);
    const size_t index = class_index(size);
    head->next = free_[index];
    free_[index] = head;
  }
}

MemoryPool::Stats MemoryPool::stats() const {
  const Lock lock(*this);
  return stats_;
}

void MemoryPool::reset_peak() {
  const Lock lock(*this);
  stats_.peak_bytes = stats_.live_bytes;
}

// Never destroyed: tensors of static duration may outlive every other static.
MemoryPool& memory_pool() {
  static MemoryPool* const pool = new MemoryPool;
  return *pool;
}

Storage* Storage::create(size_t bytes, Device device) {
  if constexpr (kWithCuda) {
    if (device == Device::cuda) {
      void* data = cuda::allocate(bytes);
      return new (memory_pool().get(kHeader)) Storage(bytes, data, device);
    }
  }
  check(device == Device::cpu, ErrorKind::device, "storage",
        "this build has no CUDA; use --device cpu");
  void* block = memory_pool().get(bytes + kHeader);
  return new (block) Storage(bytes, static_cast<char*>(block) + kHeader, device);
}

void Storage::destroy() noexcept {
  if constexpr (kWithCuda) {
    if (device_ == Device::cuda) {
      cuda::release(data_, bytes_);
      this->~Storage();
      memory_pool().put(this, kHeader);
      return;
    }
  }
  const size_t bytes = bytes_ + kHeader;
  this->~Storage();
  memory_pool().put(this, bytes);
}

}  // namespace enas
