#include "nas/reinforce.h"

#include <cmath>
#include <numeric>

#include "ops/mean_of.h"
#include "ops/pointwise.h"

namespace enas {

std::vector<double> RewardBaseline::advantages(std::span<const double> rewards) {
  check(!rewards.empty(), "reinforce", "an update needs at least one reward");
  for (const double reward : rewards) {
    check(std::isfinite(reward), ErrorKind::diverged, "reinforce", "a reward is ", reward,
          "; the shared weights have diverged: lower --shared-lr or --shared-clip");
  }
  const double mean =
      std::accumulate(rewards.begin(), rewards.end(), 0.0) / static_cast<double>(rewards.size());
  double b = value_.value_or(folded_first_ ? 0 : mean);
  std::vector<double> list;
  for (const double reward : rewards) {
    const double before = b;
    b -= (1 - decay_) * (b - reward);
    list.push_back(reward - (folded_first_ ? b : before));
  }
  value_ = b;
  return list;
}

Var reinforce_loss(Tape& tape, Controller& controller, std::span<const Architecture> architectures,
                   std::span<const double> advantages) {
  check(architectures.size() == advantages.size() && !architectures.empty(), "reinforce",
        architectures.size(), " architectures and ", advantages.size(), " advantages");
  std::vector<Var> terms;
  for (size_t s = 0; s < architectures.size(); ++s) {
    terms.push_back(scale(controller.log_prob(tape, architectures[s]).log_prob, -advantages[s]));
  }
  return mean_of(terms);
}

}  // namespace enas
