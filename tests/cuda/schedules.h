// How a test of the CUDA side repeats itself: under each schedule of the shim, or on a GPU ten
// times.
#pragma once
#include <cstdlib>

#ifdef ENAS_CUDA_ON_HOST
#include "cuda/host/schedule.h"
#endif

namespace enas::cuda {

#ifdef ENAS_CUDA_ON_HOST
constexpr bool kOnHost = true;
inline int test_runs() { return 4; }
inline void prepare_test_run(int run) { host::set_schedule(static_cast<host::Schedule>(run), 7); }
#else
constexpr bool kOnHost = false;
inline int test_runs() {  // once under a sanitizer, which is slow
  const char* wish = std::getenv("ENAS_GPU_TEST_RUNS");
  return wish == nullptr ? 10 : std::atoi(wish);
}
inline void prepare_test_run(int) {}
#endif

}  // namespace enas::cuda
