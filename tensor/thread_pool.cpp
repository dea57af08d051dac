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

// One word carries (generation | next chunk | chunks): a claim with a stale generation fails
// instead of taking a chunk of the next region. Idle workers spin for about a millisecond, then
// park; waking one costs some 50 us.
class ThreadPool {
 public:
  explicit ThreadPool(int threads) {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { worker(); });
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
    const uint64_t generation = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
    ticket_.store(generation << 32 | static_cast<uint64_t>(chunks), std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) > 0) {
      wake_.fetch_add(1);
      wake_.notify_all();
    }
    work();
    while (left_.load(std::memory_order_acquire) > 0) relax();
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  static constexpr int kSpins = 20000;
  static int next_of(uint64_t ticket) { return static_cast<int>(ticket >> 16 & 0xffff); }
  static int count_of(uint64_t ticket) { return static_cast<int>(ticket & 0xffff); }

  int claim() {  // a chunk, or -1
    uint64_t ticket = ticket_.load(std::memory_order_acquire);
    while (next_of(ticket) < count_of(ticket)) {
      if (ticket_.compare_exchange_weak(ticket, ticket + 0x10000, std::memory_order_acq_rel))
        return next_of(ticket);
    }
    return -1;
  }
  void work() {
    const InsideRegion inside;
    for (int chunk = claim(); chunk >= 0; chunk = claim()) {
      try {
        function_.load(std::memory_order_relaxed)(context_.load(std::memory_order_relaxed), chunk);
      } catch (...) {
        const std::lock_guard lock(error_mutex_);
        if (!error_) error_ = std::current_exception();
      }
      left_.fetch_sub(1, std::memory_order_acq_rel);
    }
  }
  void worker() {
    int spins = 0;
    while (!stop_) {
      const uint64_t ticket = ticket_.load(std::memory_order_acquire);
      if (next_of(ticket) < count_of(ticket)) {
        work();
        spins = 0;
      } else if (++spins <= kSpins) {
        relax();
      } else {
        park();
        spins = 0;
      }
    }
  }
  void park() {
    sleepers_.fetch_add(1);
    const uint32_t seen = wake_.load();
    const uint64_t ticket = ticket_.load();
    if (next_of(ticket) >= count_of(ticket) && !stop_) wake_.wait(seen);
    sleepers_.fetch_sub(1);
  }

  std::vector<std::thread> workers_;
  alignas(64) std::atomic<uint64_t> ticket_{0};
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
