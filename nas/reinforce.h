// REINFORCE with an exponential-moving-average baseline. For samples s of one update
//   loss = mean_s( -log p(arch_s) * (R_s + w H_s - b_s) + v KL_s ),
// H the exact policy entropy without a gradient through it, b the baseline before this sample's
// reward is folded in, KL the skip penalty of a space that has skips. Source: docs/method.md "What
// we implement" (reward baseline, entropy in the reward), sections 1.3 and 4.
#pragma once
#include <memory>
#include <optional>
#include <span>

#include "nas/controller.h"

namespace enas {

// b <- b - (1 - decay) (b - r), started at the mean reward of the first update. folded_first
// (parity switch baseline-first): started at 0, and a reward is folded in before its own advantage
// is taken.
class RewardBaseline {
 public:
  explicit RewardBaseline(double decay, bool folded_first = false)
      : decay_(decay), folded_first_(folded_first) {}
  // The advantages r_s - b of one update, each against the baseline before its own reward is folded
  // in. Not-finite rewards are refused (kind diverged) and leave the baseline as it was.
  std::vector<double> advantages(std::span<const double> rewards);
  std::optional<double> value() const { return value_; }
  void set(std::optional<double> value) { value_ = value; }

 private:
  double decay_;
  bool folded_first_;
  std::optional<double> value_;
};

struct SkipTerm {
  SkipPenalty penalty;
  double weight = 0.8;
};

// The loss above for given advantages (entropy bonus included): a scalar Var on the tape. skips:
// without effect in a space that has none. trace: of the rollout that drew the architectures, where
// it was kept (ScoreOptions::trace).
Var reinforce_loss(Tape& tape, Controller& controller, std::span<const Architecture> architectures,
                   std::span<const double> advantages, const SkipTerm& skips = {},
                   std::shared_ptr<const ControllerTrace> trace = nullptr);

}  // namespace enas
