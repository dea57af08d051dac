#include "nas/derive.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace enas {

std::vector<Candidate> derive_candidates(const Controller& controller, int64_t n, uint64_t seed) {
  std::set<Architecture> seen;
  const auto distinct = [&](const std::vector<Architecture>& architectures, bool from_controller) {
    std::vector<Candidate> group;
    for (const Architecture& arch : architectures) {
      if (seen.insert(arch).second) group.push_back({arch, from_controller, 0});
    }
    return group;
  };
  const std::vector<Candidate> groups[] = {
      distinct(architectures_of(controller.sample(n, Random{seed, Stream::derive_sample, 0})),
               true),
      distinct(
          uniform_architectures(controller.decisions(), n, Random{seed, Stream::uniform_sample, 0}),
          false)};
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
    for (const std::vector<Candidate>& group : groups) {
      if (i < group.size()) candidates.push_back(group[i]);
    }
  }
  return candidates;
}

std::vector<Candidate> rank(std::vector<Candidate> candidates, Better better) {
  std::stable_sort(candidates.begin(), candidates.end(),
                   [better](const Candidate& a, const Candidate& b) {
                     // Bad scores are ties: NaN among infinities would be no order.
                     if (!std::isfinite(a.score) || !std::isfinite(b.score))
                       return std::isfinite(a.score) && !std::isfinite(b.score);
                     return better == Better::lower ? a.score < b.score : a.score > b.score;
                   });
  return candidates;
}

GroupStatistics statistics_of(std::span<const Candidate> candidates, bool from_controller) {
  GroupStatistics group;
  double squares = 0;
  for (const Candidate& c : candidates) {
    if (c.from_controller != from_controller || !std::isfinite(c.score)) continue;
    ++group.size;  // Welford's running mean and sum of squares
    const double before = c.score - group.mean;
    group.mean += before / static_cast<double>(group.size);
    squares += before * (c.score - group.mean);
  }
  if (group.size > 1) group.deviation = std::sqrt(squares / static_cast<double>(group.size - 1));
  return group;
}

std::string compare_groups(std::span<const Candidate> candidates,
                           const std::function<std::string(double)>& show) {
  const GroupStatistics policy = statistics_of(candidates, true),
                        uniform = statistics_of(candidates, false);
  // One candidate has no spread.
  const auto group = [&](const char* name, const GroupStatistics& g) {
    std::string text;
    if (g.size > 0) text = name + std::to_string(g.size) + ": mean " + show(g.mean);
    return g.size > 1 ? text + ", sd " + show(g.deviation) : text;
  };
  std::string text =
      group("controller ", policy) + group(policy.size > 0 ? "; uniform " : "uniform ", uniform);
  if (policy.size > 0 && uniform.size > 0)
    text += "; difference " + show(policy.mean - uniform.mean);
  if (policy.size > 1 && uniform.size > 1) {
    const double error =
        std::sqrt(policy.deviation * policy.deviation / static_cast<double>(policy.size) +
                  uniform.deviation * uniform.deviation / static_cast<double>(uniform.size));
    text += " (2 standard errors " + show(2 * error) + ")";
  }
  return text;
}

}  // namespace enas
