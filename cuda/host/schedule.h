// What a test may ask of the machine that runs kernels on the CPU.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace enas::cuda::host {

// The order in which the threads of a launch run. All are legal on a GPU; a right kernel gives
// the same result under each.
enum class Schedule {
  round_robin,  // one block after another, its threads in turn
  reversed,     // the same, from the last block and thread
  random,       // up to 8 blocks at once, any thread that can run; also between atomics
  greedy,       // up to 8 blocks at once, one of them driven as far as it goes
};
constexpr std::array<Schedule, 4> kSchedules = {Schedule::round_robin, Schedule::reversed,
                                                Schedule::random, Schedule::greedy};
const char* name_of(Schedule schedule);

// For all later launches; the n-th launch after it draws from (seed, n).
void set_schedule(Schedule schedule, uint64_t seed = 1);

// Device memory at an address that the host may touch, for tests of the shim and for the host's
// side of an op (cuda/host/blas.cpp). Plain host pointers come back as they are.
void* on_host(const void* device);
template <class T>
T* on_host(T* device) {
  return static_cast<T*>(on_host(static_cast<const void*>(device)));
}

}  // namespace enas::cuda::host
