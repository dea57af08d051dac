#include "tensor/storage.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <thread>

#include "tensor/asan.h"
#include "tensor/check.h"

namespace enas {

// A spin lock, held for some tens of nanoseconds.
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

// Moves blocks between the pool's free lists and this thread's magazine (below), under the lock.
class MemoryPool::Exchange {
 public:
  static bool open();  // false: the thread is at its end, and its magazine closed
  static void fill(MemoryPool& pool, size_t index);
  static void empty(MemoryPool& pool, size_t index, size_t blocks) noexcept;
  static void empty_all(MemoryPool& pool) noexcept;
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

// Small blocks of the shared pool that a thread took ahead or freed, eight to a turn at the lock: a
// turn costs some 7 ns, and a recorded op needs four. They count as live until the thread ends or
// asks for stats().
struct Magazine {
  static constexpr size_t kClasses = 12, kLargest = 1024;  // bytes of the last class
  static constexpr size_t kTurn = 8, kMost = 2 * kTurn;
  struct Stack {
    size_t count;
    void* blocks[kMost];
  };
  Stack stacks[kClasses];
  enum { fresh, open, closed } state;  // closed: tensors of static duration die after the thread
};
thread_local Magazine magazine;
MemoryPool* shared_pool = nullptr;

// What class_index() and class_bytes() say, without a call.
size_t index_to_256(size_t bytes) { return bytes == 0 ? 0 : (bytes - 1) / 64; }
size_t size_of_class(size_t index) {
  if (index < 4) return 64 * (index + 1);
  const size_t octave = size_t{256} << (index - 4) / 4;
  return octave + octave / 4 * ((index - 4) % 4 + 1);
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

bool MemoryPool::Exchange::open() {
  if (magazine.state == Magazine::fresh) {
    struct AtThreadEnd {
      ~AtThreadEnd() {
        empty_all(*shared_pool);
        magazine.state = Magazine::closed;
      }
    };
    static thread_local const AtThreadEnd at_thread_end;
    magazine.state = Magazine::open;
  }
  return magazine.state == Magazine::open;
}

void MemoryPool::Exchange::fill(MemoryPool& pool, size_t index) {
  Magazine::Stack& stack = magazine.stacks[index];
  const size_t size = size_of_class(index);
  const Lock lock(pool);
  while (stack.count < Magazine::kTurn) stack.blocks[stack.count++] = pool.get_small(index, size);
  std::reverse(stack.blocks, stack.blocks + stack.count);  // so that addresses come ascending
  pool.stats_.peak_bytes = std::max(pool.stats_.peak_bytes, pool.stats_.live_bytes);
}

// Hands back the blocks that were put there first: the others are in the cache.
void MemoryPool::Exchange::empty(MemoryPool& pool, size_t index, size_t blocks) noexcept {
  Magazine::Stack& stack = magazine.stacks[index];
  const size_t size = size_of_class(index);
  const Lock lock(pool);
  for (size_t i = 0; i < blocks; ++i) pool.put_small(stack.blocks[i], index, size);
  stack.count -= blocks;
  std::copy_n(stack.blocks + blocks, stack.count, stack.blocks);
}

void MemoryPool::Exchange::empty_all(MemoryPool& pool) noexcept {
  for (size_t index = 0; index < Magazine::kClasses; ++index) {
    if (const size_t count = magazine.stacks[index].count; count > 0) {
      empty(pool, index, count);
    }
  }
}

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
  for (const auto& [slab, bytes] : slabs_) {
    asan_unpoison(slab, bytes);
    munmap(slab, bytes);
  }
}

char* MemoryPool::new_slab(size_t bytes) {
  bytes = round_up(bytes, kSlab);
  char* slab = map_slab(slabs_.empty() ? nullptr : slabs_.back().first, bytes);
  if (slab == nullptr) {
    fail(ErrorKind::memory, "memory pool", "the system refused ", bytes >> 20, " MiB beside ",
         stats_.slab_bytes >> 20, " MiB in use; try a smaller --batch or a smaller network");
  }
  madvise(slab, bytes, MADV_HUGEPAGE);
  slabs_.emplace_back(slab, bytes);
  asan_poison(slab, bytes);  // but for the bytes that get() is asked for
  ++stats_.slabs;
  stats_.slab_bytes += bytes;
  return slab;
}

ENAS_NO_ASAN void MemoryPool::refill(size_t index, size_t size) {
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

ENAS_NO_ASAN void* MemoryPool::get_small(size_t index, size_t size) {
  if (free_[index] == nullptr) refill(index, size);
  FreeBlock* block = free_[index];
  free_[index] = block->next;
  stats_.live_bytes += size;
  return block;
}

ENAS_NO_ASAN void MemoryPool::put_small(void* block, size_t index, size_t size) {
  free_[index] = new (block) FreeBlock{free_[index]};
  stats_.live_bytes -= size;
}

void* MemoryPool::get_large(size_t size) {
  auto fit = by_size_.lower_bound({size, nullptr});
  if (fit == by_size_.end()) {
    const size_t bytes = round_up(size, kSlab);
    put_large(new_slab(bytes), bytes);
    fit = by_size_.lower_bound({size, nullptr});
  }
  // The block is the range's upper end: what is left joins the next slab, which lies below.
  const auto [have, block] = *fit;
  by_size_.erase(fit);
  ranges_.erase(block);
  if (have > size) {
    ranges_.emplace(block, have - size);
    by_size_.emplace(have - size, block);
  }
  return block + (have - size);
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
  void* block = nullptr;
  if (bytes <= Magazine::kLargest && this == shared_pool &&
      (magazine.state == Magazine::open || Exchange::open())) {
    const size_t index = bytes <= 256 ? index_to_256(bytes) : class_index(class_bytes(bytes));
    Magazine::Stack& stack = magazine.stacks[index];
    if (stack.count == 0) Exchange::fill(*this, index);
    block = stack.blocks[--stack.count];
  } else {
    const size_t size = class_bytes(bytes);
    const Lock lock(*this);
    if (size >= kLarge) {
      block = get_large(size);
      stats_.live_bytes += size;
    } else {
      block = get_small(class_index(size), size);
    }
    stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.live_bytes);
  }
  asan_unpoison(block, bytes);
  if (poison_.load(std::memory_order_relaxed)) std::memset(block, 0xff, bytes);
  return block;
}

void MemoryPool::put(void* block, size_t bytes) noexcept {
  if constexpr (kAsan) asan_poison(block, class_bytes(bytes));
  if (bytes <= Magazine::kLargest && this == shared_pool &&
      (magazine.state == Magazine::open || Exchange::open())) {
    const size_t index = bytes <= 256 ? index_to_256(bytes) : class_index(class_bytes(bytes));
    Magazine::Stack& stack = magazine.stacks[index];
    if (stack.count == Magazine::kMost) Exchange::empty(*this, index, Magazine::kTurn);
    stack.blocks[stack.count++] = block;
    return;
  }
  const size_t size = class_bytes(bytes);
  const Lock lock(*this);
  if (size >= kLarge) {
    put_large(static_cast<char*>(block), size);
    stats_.live_bytes -= size;
  } else {
    put_small(block, class_index(size), size);
  }
}

MemoryPool::Stats MemoryPool::stats() const {
  if (this == shared_pool) Exchange::empty_all(*shared_pool);
  const Lock lock(*this);
  return stats_;
}

void MemoryPool::reset_peak() {
  if (this == shared_pool) Exchange::empty_all(*this);
  const Lock lock(*this);
  stats_.peak_bytes = stats_.live_bytes;
}

// Never destroyed: tensors of static duration may outlive every other static.
MemoryPool& memory_pool() {
  static MemoryPool* const pool = shared_pool = new MemoryPool;
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
  asan_poison(static_cast<char*>(block) + sizeof(Storage), kHeader - sizeof(Storage));
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
