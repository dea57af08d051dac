#include "tensor/thread_pool.h"

#include <sched.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "tensor/check.h"

namespace enas {
namespace {

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

thread_local bool inside_region = false;
struct InsideRegion {
  InsideRegion() : before(std::exchange(inside_region, true)) {}
  InsideRegion(const InsideRegion&) = delete;
  InsideRegion& operator=(const InsideRegion&) = delete;
  ~InsideRegion() { inside_region = before; }
  const bool before;
};

// Each thread has a range of chunks and takes them from its front, then others' from their back: it
// works on neighbours, whose data lies where it read last, and nobody waits for a thread. A range
// is one word, (generation | next chunk | end): a claim with a stale generation fails instead of
// taking a chunk of the next region. Idle workers spin for about a millisecond, then park; waking
// one costs some 50 us.
class ThreadPool {
 public:
  explicit ThreadPool(int threads) : ranges_(static_cast<size_t>(threads)) {
    for (int i = 1; i < threads; ++i) {
      workers_.emplace_back([this, i] { worker(static_cast<size_t>(i)); });
    }
  }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool() {
    stop_ = true;
    wake_.fetch_add(1);
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }
  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  void run(int chunks, detail::ChunkFunction function, void* context) {
    function_.store(function, std::memory_order_relaxed);
    context_.store(context, std::memory_order_relaxed);
    left_.store(chunks, std::memory_order_relaxed);
    const uint64_t generation = generation_.load(std::memory_order_relaxed) + 1;
    const auto cut = [&](size_t thread) {
      return static_cast<uint64_t>(chunks) * thread / ranges_.size();
    };
    for (size_t t = 0; t < ranges_.size(); ++t) {
      ranges_[t].word.store(generation << 32 | cut(t) << 16 | cut(t + 1),
                            std::memory_order_release);
    }
    generation_.store(generation, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) > 0) {
      wake_.fetch_add(1);
      wake_.notify_all();
    }
    work(0);
    while (left_.load(std::memory_order_acquire) > 0) relax();
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  static constexpr int kSpins = 20000;
  struct alignas(64) Range {
    std::atomic<uint64_t> word{0};
  };

  // A chunk of this range, the first or the last, or -1.
  static int claim(Range& range, bool first) {
    uint64_t word = range.word.load(std::memory_order_acquire);
    for (;;) {
      const uint64_t next = word >> 16 & 0xffff, end = word & 0xffff;
      if (next >= end) return -1;
      if (range.word.compare_exchange_weak(word, first ? word + 0x10000 : word - 1,
                                           std::memory_order_acq_rel)) {
        return static_cast<int>(first ? next : end - 1);
      }
    }
  }
  int claim(size_t self) {
    int chunk = claim(ranges_[self], true);
    for (size_t i = 1; chunk < 0 && i < ranges_.size(); ++i) {
      chunk = claim(ranges_[(self + i) % ranges_.size()], false);
    }
    return chunk;
  }
  void work(size_t self) {
    const InsideRegion inside;
    for (int chunk = claim(self); chunk >= 0; chunk = claim(self)) {
      try {
        function_.load(std::memory_order_relaxed)(context_.load(std::memory_order_relaxed), chunk);
      } catch (...) {
        const std::lock_guard lock(error_mutex_);
        if (!error_) error_ = std::current_exception();
      }
      left_.fetch_sub(1, std::memory_order_acq_rel);
    }
  }
  void worker(size_t self) {
    uint64_t seen = 0;
    int spins = 0;
    while (!stop_) {
      const uint64_t generation = generation_.load(std::memory_order_acquire);
      if (generation != seen) {
        seen = generation;
        work(self);
        spins = 0;
      } else if (++spins <= kSpins) {
        relax();
      } else {
        park(seen);
        spins = 0;
      }
    }
  }
  void park(uint64_t seen) {
    sleepers_.fetch_add(1);
    const uint32_t before = wake_.load();
    if (generation_.load() == seen && !stop_) wake_.wait(before);
    sleepers_.fetch_sub(1);
  }

  std::vector<Range> ranges_;  // of the caller, then of each worker
  std::vector<std::thread> workers_;
  alignas(64) std::atomic<uint64_t> generation_{0};
  alignas(64) std::atomic<int> left_{0};
  alignas(64) std::atomic<int> sleepers_{0};
  std::atomic<uint32_t> wake_{0};
  std::atomic<bool> stop_{false};
  std::atomic<detail::ChunkFunction> function_{nullptr};
  std::atomic<void*> context_{nullptr};
  std::mutex error_mutex_;
  std::exception_ptr error_;
};

// The cgroup's CPU quota in whole processors, or 0 where there is none.
int cgroup_cpus() {
  int cpus = 0;
  if (std::FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "re")) {
    double quota = 0, period = 0;
    if (std::fscanf(file, "%lf %lf", &quota, &period) == 2 && period > 0) {
      cpus = static_cast<int>(std::ceil(quota / period));
    }
    std::fclose(file);
  }
  return cpus;
}

// Held while a region runs on the pool: that of a second caller (a loader's thread) runs inline.
std::mutex region_mutex;

std::unique_ptr<ThreadPool>& pool() {
  static std::unique_ptr<ThreadPool> instance = std::make_unique<ThreadPool>(usable_cpus());
  return instance;
}

}  // namespace

int usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  if (const int quota = cgroup_cpus(); quota > 0) cpus = std::min(cpus, quota);
  return std::max(cpus, 1);
}

int thread_count() { return pool()->threads(); }

void set_thread_count(int threads) {
  check(threads >= 0 && threads <= 256, "thread pool", "threads must be 0 to 256, got ", threads);
  check(!inside_region, "thread pool",
        "cannot change the number of threads inside a parallel region");
  const std::lock_guard lock(region_mutex);
  const int wanted = threads == 0 ? usable_cpus() : threads;
  if (wanted != pool()->threads()) pool() = std::make_unique<ThreadPool>(wanted);
}

void detail::run_chunks(int chunks, ChunkFunction function, void* context) {
  check(chunks >= 0 && chunks <= 0xffff, "thread pool", "chunks must be 0 to 65535, got ", chunks);
  std::unique_lock lock(region_mutex, std::defer_lock);
  if (inside_region || chunks <= 1 || !lock.try_lock() || pool()->threads() == 1) {
    const InsideRegion inside;
    for (int chunk = 0; chunk < chunks; ++chunk) function(context, chunk);
    return;
  }
  pool()->run(chunks, function, context);
}

}  // namespace enas
