#include "nas/correlate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "tensor/check.h"
#include "tensor/philox.h"

namespace enas {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Ranks from 1, ties at their mean.
std::vector<double> ranks_of(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin + 1;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    const double mean = (static_cast<double>(begin + end) + 1) / 2;
    for (; begin < end; ++begin) ranks[order[begin]] = mean;
  }
  return ranks;
}

int sign(double d) { return (d > 0) - (d < 0); }

}  // namespace

double kendall_tau(std::span<const double> x, std::span<const double> y) {
  check(x.size() == y.size(), "kendall", x.size(), " and ", y.size(), " scores");
  double score = 0, pairs_x = 0, pairs_y = 0;  // pairs that are not tied
  for (size_t i = 0; i < x.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const int a = sign(x[i] - x[j]), b = sign(y[i] - y[j]);
      score += a * b;
      pairs_x += a != 0;
      pairs_y += b != 0;
    }
  }
  return pairs_x > 0 && pairs_y > 0 ? score / std::sqrt(pairs_x * pairs_y) : kNan;
}

double spearman_rho(std::span<const double> x, std::span<const double> y) {
  check(x.size() == y.size(), "spearman", x.size(), " and ", y.size(), " scores");
  const std::vector<double> a = ranks_of(x), b = ranks_of(y);
  const double mean = (static_cast<double>(a.size()) + 1) / 2;
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean) * (b[i] - mean);
    aa += (a[i] - mean) * (a[i] - mean);
    bb += (b[i] - mean) * (b[i] - mean);
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : kNan;
}

Interval95 kendall_interval(std::span<const double> x, std::span<const double> y, uint64_t seed,
                            int resamples) {
  if (std::isnan(kendall_tau(x, y))) return {kNan, kNan};
  const auto n = static_cast<uint32_t>(x.size());
  const Random random{seed, Stream::bootstrap, 0};
  std::vector<double> taus, a(n), b(n);
  uint64_t draw = 0;
  while (static_cast<int>(taus.size()) < resamples) {
    for (uint32_t i = 0; i < n; ++i) {
      const uint32_t pick = random.below(n, draw++);
      a[i] = x[pick];
      b[i] = y[pick];
    }
    if (const double tau = kendall_tau(a, b); !std::isnan(tau)) taus.push_back(tau);
  }
  std::sort(taus.begin(), taus.end());
  const auto at = [&](double share) {
    return taus[static_cast<size_t>(share * static_cast<double>(taus.size() - 1))];
  };
  return {at(0.025), at(0.975)};
}

}  // namespace enas
