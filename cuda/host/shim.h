// The CUDA vocabulary of cuda/launch.cuh for g++ and clang++: every thread of a launch is a fiber
// of the calling thread (docs/cuda.md). Only launch.cuh includes this.
#pragma once
#if !defined(__x86_64__)
#error "ENAS_CUDA_ON_HOST: the fibers that stand for CUDA threads are written for x86-64 only"
#endif
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "cuda/host/shared.h"
#include "cuda/host/vector_types.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

// Of the thread that runs now.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

namespace enas::cuda {
struct Launch;

namespace host {

// Where in the source a thread waits.
struct Site {
  const char* file;
  int line;
};

void run(const char* op, const Launch& how, bool cooperative, void (*body)(void*), void* arguments);
// Of a kernel's arguments, those that are pointers must point to device memory, or nowhere.
void check_argument(const char* op, size_t position, const volatile void* pointer);
template <class T>
void check_argument(const char* op, size_t position, const T& value) {
  if constexpr (std::is_pointer_v<T>) {
    check_argument(op, position, static_cast<const volatile void*>(value));
  }
}
void barrier(Site site);
bool barrier_vote(Site site, bool vote, bool any);
// All 32 lanes put a value in and, when all have, see each other's: lanes[0..31].
const uint64_t* exchange(const char* name, Site site, unsigned mask, uint64_t value);
void warp_barrier(Site site, unsigned mask);
unsigned lane();
void between_atomics();
void pause_in_spin();

template <class T>
uint64_t to_bits(T value) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(uint64_t));
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return bits;
}
template <class T>
T from_bits(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

template <class... P, class... A>
void launch(const char* op, void (*kernel)(P...), const Launch& how, bool cooperative,
            A&&... args) {
  struct Call {
    void (*kernel)(P...);
    std::tuple<P...> values;
  } call{kernel, std::tuple<P...>(static_cast<P>(std::forward<A>(args))...)};
  size_t position = 0;
  std::apply([&](const P&... value) { (check_argument(op, ++position, value), ...); }, call.values);
  run(
      op, how, cooperative,
      [](void* at) {
        const Call& c = *static_cast<const Call*>(at);
        std::apply(c.kernel, c.values);
      },
      &call);
}

}  // namespace host

// Runs kernel(args...) to its end; what a check finds is thrown as Error{internal}.
template <class... P, class... A>
void launch(const char* op, void (*kernel)(P...), const Launch& how, A&&... args) {
  host::launch(op, kernel, how, false, std::forward<A>(args)...);
}
template <class... P, class... A>
void launch_cooperative(const char* op, void (*kernel)(P...), const Launch& how, A&&... args) {
  host::launch(op, kernel, how, true, std::forward<A>(args)...);
}

}  // namespace enas::cuda

// Barriers. A barrier that only part of a block reaches, or that two threads reach at different
// lines, is an error.
#define ENAS_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()
inline void __syncthreads(ENAS_SITE) { enas::cuda::host::barrier({file, line}); }
inline int __syncthreads_or(int vote, ENAS_SITE) {
  return enas::cuda::host::barrier_vote({file, line}, vote != 0, true) ? 1 : 0;
}
inline int __syncthreads_and(int vote, ENAS_SITE) {
  return enas::cuda::host::barrier_vote({file, line}, vote != 0, false) ? 1 : 0;
}
inline void __threadfence() {}
inline void __threadfence_block() {}

// Warp collectives, under a full mask only. Of these __syncwarp alone orders memory.
inline void __syncwarp(unsigned mask = 0xffffffffu, ENAS_SITE) {
  enas::cuda::host::warp_barrier({file, line}, mask);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int from, ENAS_SITE) {
  namespace host = enas::cuda::host;
  const uint64_t* lanes = host::exchange("__shfl_sync", {file, line}, mask, host::to_bits(value));
  return host::from_bits<T>(lanes[static_cast<unsigned>(from) % 32]);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int with, ENAS_SITE) {
  namespace host = enas::cuda::host;
  const uint64_t* lanes =
      host::exchange("__shfl_xor_sync", {file, line}, mask, host::to_bits(value));
  const unsigned from = host::lane() ^ static_cast<unsigned>(with);
  return from < 32 ? host::from_bits<T>(lanes[from]) : value;
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, ENAS_SITE) {
  namespace host = enas::cuda::host;
  const uint64_t* lanes =
      host::exchange("__shfl_down_sync", {file, line}, mask, host::to_bits(value));
  const unsigned from = host::lane() + by;
  return from < 32 ? host::from_bits<T>(lanes[from]) : value;
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, ENAS_SITE) {
  namespace host = enas::cuda::host;
  const uint64_t* lanes =
      host::exchange("__shfl_up_sync", {file, line}, mask, host::to_bits(value));
  return by <= host::lane() ? host::from_bits<T>(lanes[host::lane() - by]) : value;
}
inline unsigned __ballot_sync(unsigned mask, int vote, ENAS_SITE) {
  const uint64_t* lanes =
      enas::cuda::host::exchange("__ballot_sync", {file, line}, mask, vote != 0 ? 1 : 0);
  unsigned votes = 0;
  for (unsigned l = 0; l < 32; ++l) votes |= static_cast<unsigned>(lanes[l]) << l;
  return votes;
}
inline int __any_sync(unsigned mask, int vote, ENAS_SITE) {
  return __ballot_sync(mask, vote, file, line) != 0 ? 1 : 0;
}
inline int __all_sync(unsigned mask, int vote, ENAS_SITE) {
  return __ballot_sync(mask, vote, file, line) == 0xffffffffu ? 1 : 0;
}
#undef ENAS_SITE

template <class T>
T __ldg(const T* at) {
  return *at;
}

// Atomics on the integers for which CUDA has them. One fiber runs at a time, so plain accesses do.
namespace enas::cuda::host {
template <class T>
concept Atomic =
    std::same_as<T, int> || std::same_as<T, unsigned> || std::same_as<T, unsigned long long>;
template <class T>
concept Ordered = Atomic<T> || std::same_as<T, long long>;
template <class T, class Change>
T atomically(T* at, Change change) {
  between_atomics();
  const T old = *at;
  *at = change(old);
  between_atomics();
  return old;
}
}  // namespace enas::cuda::host

template <enas::cuda::host::Atomic T>
T atomicAdd(T* at, std::type_identity_t<T> value) {
  using Bits = std::make_unsigned_t<T>;  // wraps
  return enas::cuda::host::atomically(at, [value](T old) {
    return static_cast<T>(static_cast<Bits>(old) + static_cast<Bits>(value));
  });
}
template <enas::cuda::host::Atomic T>
T atomicCAS(T* at, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return enas::cuda::host::atomically(
      at, [expected, value](T old) { return old == expected ? value : old; });
}
template <enas::cuda::host::Atomic T>
T atomicExch(T* at, std::type_identity_t<T> value) {
  return enas::cuda::host::atomically(at, [value](T) { return value; });
}
template <enas::cuda::host::Ordered T>
T atomicMax(T* at, std::type_identity_t<T> value) {
  return enas::cuda::host::atomically(at, [value](T old) { return old < value ? value : old; });
}
template <enas::cuda::host::Ordered T>
T atomicMin(T* at, std::type_identity_t<T> value) {
  return enas::cuda::host::atomically(at, [value](T old) { return value < old ? value : old; });
}
