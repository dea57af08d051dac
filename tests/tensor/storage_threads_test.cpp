// The shared memory pool under many threads: blocks of every kind made in one and freed in another,
// threads that end with blocks at hand, slabs taken meanwhile. Each block is filled and read again,
// so that two owners of the same bytes are noticed; ThreadSanitizer reads along.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "tensor/philox.h"
#include "tensor/storage.h"
#include "tensor/tensor.h"

namespace enas {
namespace {

constexpr size_t kThreads = 4;

size_t live_bytes() { return memory_pool().stats().live_bytes; }

void run_threads(const std::function<void(size_t)>& body) {
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) threads.emplace_back(body, t);
  for (std::thread& thread : threads) thread.join();
}

struct Block {
  unsigned char* data;
  size_t bytes;
  unsigned char stamp;
};

// At the ends and once a cache line of small blocks, a page of large ones.
template <class Visit>
void at_marks(const Block& block, Visit visit) {
  const size_t step = block.bytes < MemoryPool::kLarge ? 64 : 4096;
  for (size_t at = 0; at < block.bytes; at += step) visit(block.data[at]);
  visit(block.data[block.bytes - 1]);
}

Block make_block(const Random& random, uint64_t index) {
  const uint32_t kind = random.below(16, 3 * index);  // small, of a class, large, over a slab
  const uint32_t most = kind < 10 ? 1024 : kind < 14 ? 60'000 : kind < 15 ? 600'000 : 3'000'000;
  const size_t bytes = 1 + random.below(most, 3 * index + 1);
  const Block block = {static_cast<unsigned char*>(memory_pool().get(bytes)), bytes,
                       static_cast<unsigned char>(random.below(256, 3 * index + 2))};
  at_marks(block, [&](unsigned char& byte) { byte = block.stamp; });
  return block;
}

bool intact(const Block& block) {
  bool same = true;
  at_marks(block, [&](const unsigned char& byte) { same = same && byte == block.stamp; });
  return same;
}

class Mailbox {
 public:
  void post(Block block) {
    const std::lock_guard lock(mutex_);
    blocks_.push_back(block);
  }
  std::vector<Block> collect() {
    const std::lock_guard lock(mutex_);
    return std::exchange(blocks_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<Block> blocks_;
};

// Each thread posts its blocks to the next one, keeps some, and frees what it is sent; what is left
// at its end the next wave's threads, new ones, find in their mailboxes.
TEST(StorageThreads, BlocksChangeHands) {
  const size_t live = live_bytes();
  std::vector<Mailbox> mail(kThreads);
  std::atomic<int> damaged{0};
  const auto free_all = [&](const std::vector<Block>& blocks) {
    for (const Block& block : blocks) {
      damaged += !intact(block);
      memory_pool().put(block.data, block.bytes);
    }
  };
  for (uint64_t wave = 0; wave < 6; ++wave) {
    run_threads([&](size_t self) {
      const Random random{5, Stream::test, wave * kThreads + self};
      std::vector<Block> kept;
      for (uint64_t i = 0; i < 150; ++i) {
        const Block block = make_block(random, i);
        if (i % 3 == 0) {
          kept.push_back(block);
        } else {
          mail[(self + 1) % kThreads].post(block);
        }
        if (i % 8 == 7) free_all(mail[self].collect());
        if (i % 32 == 31) free_all(std::exchange(kept, {}));
      }
      free_all(kept);
    });
  }
  for (Mailbox& box : mail) free_all(box.collect());
  EXPECT_EQ(damaged, 0);
  EXPECT_EQ(live_bytes(), live);
}

// One block with an owner in each thread: the last to let go frees it, once, after all have read.
TEST(StorageThreads, LastOwnerFrees) {
  const size_t live = live_bytes();
  std::atomic<int> wrong{0};
  for (const int64_t elements : {8, 40'000}) {
    for (int round = 0; round < 60; ++round) {
      std::vector<Tensor> owners(kThreads, Tensor::full({elements}, round));
      run_threads([&](size_t self) {
        const Tensor mine = std::move(owners[self]);
        const Tensor other = mine;
        wrong += mine.item(elements - 1) != round;
      });
      wrong += owners[0].defined();
    }
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(live_bytes(), live);
}

// A thread's tensors of thread duration die after the blocks that it had at hand were handed back.
TEST(StorageThreads, TensorsOutliveTheBlocksAtHand) {
  const size_t live = live_bytes();
  struct AtEnd {
    ~AtEnd() {
      if (kept.has_value()) *kept = Tensor::full({4}, kept->item(0) + 1);
    }
    std::optional<Tensor> kept;
  };
  run_threads([&](size_t self) {
    static thread_local AtEnd at_end;
    at_end.kept.reset();  // made before the thread's first block, so destroyed after its last
    at_end.kept = Tensor::full({static_cast<int64_t>(self) + 1}, 1);
  });
  EXPECT_EQ(live_bytes(), live);
}

// Asked while others work: nothing is live beyond the peak, nothing beyond the slabs.
TEST(StorageThreads, StatisticsAreConsistent) {
  memory_pool().reset_peak();
  std::atomic<int> working{kThreads - 1}, wrong{0};
  run_threads([&](size_t self) {
    if (self == 0) {
      while (working > 0) {
        const MemoryPool::Stats stats = memory_pool().stats();
        wrong += stats.live_bytes > stats.peak_bytes || stats.peak_bytes > stats.slab_bytes;
        std::this_thread::yield();
      }
      return;
    }
    const Random random{6, Stream::test, self};
    for (uint64_t i = 0; i < 300; ++i) {
      const Block block = make_block(random, i);
      wrong += !intact(block);
      memory_pool().put(block.data, block.bytes);
    }
    --working;
  });
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace enas
