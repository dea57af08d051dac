#include "nas/reinforce.h"

#include <cmath>
#include <numeric>

#include "ops/pointwise.h"
#include "ops/reduce.h"

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
                   std::span<const double> advantages, const SkipTerm& skips,
                   std::shared_ptr<const ControllerTrace> trace) {
  check(architectures.size() == advantages.size() && !architectures.empty(), "reinforce",
        architectures.size(), " architectures and ", advantages.size(), " advantages");
  ScoreOptions want;
  want.trace = std::move(trace);
  if (skips.weight != 0) want.skip_penalty = skips.penalty;
  const Controller::Score score = controller.log_probs(tape, architectures, want);
  const auto samples = static_cast<double>(advantages.size());
  std::vector<double> factors;
  for (const double advantage : advantages) factors.push_back(-advantage / samples);
  const Var& log_prob = score.log_prob;
  const Tensor weights =
      Tensor::from(factors, log_prob.shape(), log_prob.dtype()).to(log_prob.value().device());
  const Var loss = sum(mul(log_prob, weights));
  if (!score.skip_kl.value().defined()) return loss;
  return add(loss, scale(sum(score.skip_kl), skips.weight / samples));
}

}  // namespace enas
