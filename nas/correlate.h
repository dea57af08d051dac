// Rank correlation of two scores of the same architectures: with shared weights and stand-alone.
// Source: docs/method.md section 6, item 3 of what our tools report.
#pragma once
#include <cstdint>
#include <span>

namespace enas {

// Kendall's tau-b, (concordant - discordant) / sqrt((pairs - ties in x) (pairs - ties in y)); NaN
// where either list is constant or shorter than 2. Refuses (internal) lists of different lengths.
double kendall_tau(std::span<const double> x, std::span<const double> y);
// Pearson's correlation of the ranks, ties at their mean rank; NaN as above.
double spearman_rho(std::span<const double> x, std::span<const double> y);

struct Interval95 {
  double low = 0, high = 0;
};
// Percentile bootstrap over the pairs (resamples that are constant are drawn again), a pure
// function of the seed.
Interval95 kendall_interval(std::span<const double> x, std::span<const double> y, uint64_t seed,
                            int resamples = 2000);

}  // namespace enas
