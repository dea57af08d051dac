// Rates of kernels as shares of the FMA loop in the same moment: one register tile that is not
// unrolled spills, and is several times slower. A floor is half of what a quiet machine gives; each
// kernel is tried many times, for the best round counts. Where the FMA loop itself is disturbed
// throughout, the check is skipped by name.
#pragma once
#ifdef ENAS_FMA_LOOP
#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "tensor/asan.h"
#include "tensor/isa.h"
#include "tensor/thread_pool.h"

namespace enas {
ISA_SELECT(fma_rounds, long(float* out, long rounds));  // bench/fma_peak.simd.cpp
namespace test {

struct RatedKernel {
  const char* name;
  double fmas;                // of one run
  double floor[3];            // share of the FMA loop: generic, AVX2, AVX-512
  std::function<void()> run;  // some 20 us or more
};

// FMAs a second of this thread's own time: others' do not count.
template <class F>
double own_rate(const F& fmas_of) {
  const auto seconds = [] {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
  };
  const double start = seconds(), fmas = fmas_of();
  return fmas / (seconds() - start);
}

// The best share over rounds in which the FMA loop before and after agrees; 0 where none does.
inline double best_share(const RatedKernel& kernel, double enough) {
  const auto loop = [] {
    float out = 0;
    return own_rate([&] { return static_cast<double>(fma_rounds(&out, 200000)); });
  };
  double best = 0;
  kernel.run();
  for (int round = 0; round < 60 && best < enough; ++round) {
    const double before = loop();
    const double mine = own_rate([&] { return kernel.run(), kernel.fmas; });
    const double after = loop();
    if (std::min(before, after) < 0.9 * std::max(before, after)) continue;
    best = std::max(best, mine / std::max(before, after));
  }
  return best;
}

// Holds the kernels that `make` gives for the chosen instruction set to their floors, on each.
inline void expect_rates(const std::function<std::vector<RatedKernel>()>& make) {
#if !defined(NDEBUG) || defined(ENAS_ASAN) || defined(ENAS_TSAN)
  GTEST_SKIP() << "rates are of a release build";
#endif
  set_thread_count(1);
  const Isa before = isa();
  bool measured = false;
  for (const Isa path : available_isas()) {
    SCOPED_TRACE(name_of(path));
    set_isa(path);
    for (const RatedKernel& kernel : make()) {
      const double floor = kernel.floor[static_cast<int>(path)];
      const double share = best_share(kernel, floor);
      if (share == 0) continue;
      measured = true;
      EXPECT_GE(share, floor) << kernel.name << " of the FMA loop; is a loop over a register tile"
                              << " no longer unrolled?";
    }
  }
  set_isa(before);
  set_thread_count(0);
  if (!measured) GTEST_SKIP() << "the FMA loop is disturbed by other work";
}

}  // namespace test
}  // namespace enas
#endif  // ENAS_FMA_LOOP
