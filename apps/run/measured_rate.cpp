#include "apps/run/measured_rate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "tensor/blas.h"
#include "tensor/tensor.h"

namespace enas {

double measured_rate() {
  constexpr int64_t kM = 64, kK = 512, kN = 1024;
  const Tensor a = Tensor::full({kM, kK}, 1), b = Tensor::full({kK, kN}, 1);
  Tensor c({kM, kN});
  double best = 1e9;
  for (int round = 0; round < 20; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    gemm<float>(false, false, kM, kN, kK, a.data<float>(), kK, b.data<float>(), kN, 0,
                c.data<float>(), kN);
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return 2.0 * kM * kK * kN / best;
}

std::string format_bytes(double bytes) {
  constexpr double kKiB = 1 << 10, kMiB = 1 << 20;
  return bytes < kMiB ? fmt::format("{:.0f} KiB", bytes / kKiB)
                      : fmt::format("{:.0f} MiB", bytes / kMiB);
}

std::string format_flop(double flop) {
  if (flop < 1e12) return fmt::format("{:.3g} GFLOP", flop / 1e9);
  return flop < 1e15 ? fmt::format("{:.3g} TFLOP", flop / 1e12)
                     : fmt::format("{:.3g} PFLOP", flop / 1e15);
}

}  // namespace enas
