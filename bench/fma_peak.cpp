#include "bench/fma_peak.h"

#include <chrono>
#include <numeric>
#include <thread>
#include <vector>

#include "tensor/isa.h"

namespace enas {
// Returns the number of FMAs of one float that `rounds` rounds make; out keeps the result alive.
ISA_SELECT(fma_rounds, long(float* out, long rounds));
}  // namespace enas

namespace enas::bench {

double fma_peak_gflops(int threads, double seconds) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> rates(static_cast<size_t>(threads));
  std::vector<std::thread> team;
  for (double& rate : rates) {
    team.emplace_back([&rate, seconds] {
      float out = 0;
      double made = 0, passed = 0;
      const auto start = Clock::now();
      do {
        made += static_cast<double>(fma_rounds(&out, 100000));
        passed = std::chrono::duration<double>(Clock::now() - start).count();
      } while (passed < seconds);
      rate = 2e-9 * made / passed;
    });
  }
  for (std::thread& member : team) member.join();
  return std::accumulate(rates.begin(), rates.end(), 0.0);
}

}  // namespace enas::bench
