// Rates of the key kernels as shares of the FMA loop in the same moment, on every instruction set:
// one register tile that is not unrolled spills, and is several times slower. The floors are half
// of what a quiet machine gives; each is tried many times, for the best round counts. A machine
// whose FMA loop itself is disturbed throughout skips the check by name.
#ifdef ENAS_FMA_LOOP
#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "tensor/packed_gemm.h"
#include "tensor/stacked_gemm.h"
#include "tensor/thread_pool.h"

namespace enas {
ISA_SELECT(fma_rounds, long(float* out, long rounds));  // bench/fma_peak.simd.cpp
namespace {

double seconds() {  // of this thread: others' do not count
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}
template <class F>
double rate(double fmas, const F& f) {
  const double start = seconds();
  f();
  return fmas / (seconds() - start);
}
double fma_rate() {
  constexpr long kRounds = 200000;
  float out = 0;
  long made = 0;
  const double start = seconds();
  made = fma_rounds(&out, kRounds);
  return static_cast<double>(made) / (seconds() - start);
}

struct Kernel {
  const char* name;
  double fmas, floor;
  std::function<void()> run;
};

// The best share over rounds in which the FMA loop before and after agrees; 0 where none does.
double best_share(const Kernel& kernel, double enough) {
  double best = 0;
  kernel.run();
  for (int round = 0; round < 60 && best < enough; ++round) {
    const double before = fma_rate(), mine = rate(kernel.fmas, kernel.run), after = fma_rate();
    if (std::min(before, after) < 0.9 * std::max(before, after)) continue;
    best = std::max(best, mine / std::max(before, after));
  }
  return best;
}

TEST(Rates, KeyKernelsKeepTheirShareOfTheFmaLoop) {
#if !defined(NDEBUG) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "rates are of a release build";
#endif
  set_thread_count(1);
  const Isa before = isa();
  constexpr int64_t kRows = 64, kDepth = 200, kColumns = 480;
  const Tensor a = Tensor::full({kRows, kDepth}, 0.5), w = Tensor::full({kDepth, kColumns}, 0.25);
  const Tensor turned = Tensor::full({kColumns, kDepth}, 0.25);
  const Tensor x = Tensor::full({256, 128}, 0.5), dz = Tensor::full({256, 256}, 0.25);
  Tensor c({kRows, kColumns}), dw({128, 256});
  bool measured = false;
  for (const Isa path : available_isas()) {
    SCOPED_TRACE(name_of(path));
    set_isa(path);
    const PackedMatrix plain(false, kDepth, kColumns, w.data<float>(), kColumns);
    const PackedMatrix transposed(true, kDepth, kColumns, turned.data<float>(), kDepth);
    const auto product = [&](const PackedMatrix& b, bool add) {
      packed_gemm(kRows, a.data<float>(), kDepth, b, add, c.data<float>(), kColumns);
    };
    const RowBlock rows[] = {{x.data<float>(), dz.data<float>(), 128},
                             {x.data<float>() + 128 * 128, dz.data<float>() + 128 * 256, 128}};
    const double fmas = kRows * kDepth * kColumns;
    for (const Kernel& kernel :
         {Kernel{"packed product", fmas, 0.4, [&] { product(plain, false); }},
          Kernel{"highway cell's product, transposed", fmas, 0.4,
                 [&] { product(transposed, true); }},
          Kernel{"weight gradient", 256.0 * 128 * 256, 0.3,
                 [&] { stacked_gemm(rows, 128, 256, false, dw.data<float>()); }}}) {
      const double share = best_share(kernel, kernel.floor);
      if (share == 0) continue;
      measured = true;
      EXPECT_GE(share, kernel.floor) << kernel.name << " of the FMA loop; is a loop over a register"
                                     << " tile no longer unrolled?";
    }
  }
  set_isa(before);
  set_thread_count(0);
  if (!measured) GTEST_SKIP() << "the FMA loop is disturbed by other work";
}

}  // namespace
}  // namespace enas
#endif  // ENAS_FMA_LOOP
