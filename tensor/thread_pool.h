// The thread pool. A region is cut into chunks whose number and borders depend on the problem
// alone, never on the number of threads, so sums over chunks have the same bits for any. A thread
// claims chunks of its own share, then of others'; nobody waits for a thread, only for claimed
// chunks, so a preempted worker holds up at most one.
#pragma once
#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace enas {

int thread_count();
// Threads that work, the caller included; 0 = what affinity and the cgroup quota allow. Not inside
// a region.
void set_thread_count(int threads);
int usable_cpus();

namespace detail {
using ChunkFunction = void (*)(void* context, int chunk);
void run_chunks(int chunks, ChunkFunction function, void* context);
}  // namespace detail

// Calls f(0) ... f(chunks - 1), each once, in any order, on the pool's threads. Nested calls run
// inline; an exception of a chunk reaches the caller after the region has ended.
template <class F>
void parallel_chunks(int chunks, F&& f) {
  if (chunks == 1) return f(0);
  using Function = std::remove_reference_t<F>;
  detail::run_chunks(
      chunks, [](void* context, int chunk) { (*static_cast<Function*>(context))(chunk); },
      const_cast<void*>(static_cast<const void*>(&f)));
}

constexpr int kMaxChunks = 32;
// How many chunks of at least `grain` elements [0, n) is cut into.
inline int chunk_count(int64_t n, int64_t grain) {
  return static_cast<int>(std::clamp<int64_t>(n / std::max<int64_t>(grain, 1), 1, kMaxChunks));
}

// Calls f(begin, end) over [0, n) in chunk_count(n, grain) chunks. Grain: elements worth some 5 us
// of work.
template <class F>
void parallel_for(int64_t n, int64_t grain, F&& f) {
  if (n <= 0) return;
  const int chunks = chunk_count(n, grain);
  if (chunks == 1) return f(int64_t{0}, n);
  parallel_chunks(chunks, [&](int chunk) { f(n * chunk / chunks, n * (chunk + 1) / chunks); });
}

}  // namespace enas
