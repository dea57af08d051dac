// The steps of both phases of a search, on the sampled children alone (the paper, section 2.2;
// docs/method.md section 4). Generic over the task: a child with its data. Applications, benchmarks
// and tests call these same functions.
//   shared step      omega <- omega - lr * d/domega mean_m loss(child_m), theta fixed
//   controller step  theta <- Adam(d/dtheta mean_s -log p(arch_s) (R_s + w H_s - b) + v KL_s),
//                    omega fixed
#pragma once
#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "nas/reinforce.h"
#include "nn/adam.h"
#include "nn/sgd.h"
#include "ops/grad_norm.h"
#include "ops/mean_of.h"
#include "tensor/readback.h"

namespace enas {

// What a step left. Its gate (ops/grad_norm.h) is on its way to the host; an accessor waits for it,
// so read them after the next step has been issued.
class StepReport {
 public:
  explicit StepReport(Tensor gate) : gate_(std::move(gate)), values_(gate_) {}
  double loss() const { return values_.values()[kGateLoss]; }       // with regularisers
  double grad_norm() const { return values_.values()[kGateNorm]; }  // before clipping
  // False: nothing that outlives the step has changed.
  bool finite() const { return values_.values()[kGateFinite] != 0; }
  // For what else hangs on the step (weight averages), and for the step after it.
  const Tensor& gate() const { return gate_; }

 private:
  Tensor gate_;
  Readback values_;
};

// What shared_step needs of a child with its data.
template <class T, class Batch>
concept SharedTask = requires(T task, Tape& tape, const Architecture& arch, const Batch& batch,
                              uint64_t draw, const Tensor& gate) {
  // The child's loss on the batch; draw: the number of the dropout masks.
  { task.train_loss(tape, arch, batch, draw) } -> std::same_as<Var>;
  // After the update: carries state over, unless the gate says that the step was not finite.
  task.finish_step(gate);
  // For dense updates: all weights, used or not.
  { task.all_parameters() } -> std::same_as<std::vector<Parameter*>>;
};

// One update of the shared weights on one batch: the mean loss of `architectures` (M of them).
// The same function trains one architecture from scratch (M = 1). previous: the gate of the step
// before, where this one shall change nothing unless that one was finite; undefined otherwise.
template <class Batch, SharedTask<Batch> Task>
StepReport shared_step(Tape& tape, Task& task, std::span<const Architecture> architectures,
                       const Batch& batch, uint64_t step, Sgd& sgd, double lr,
                       const Tensor& previous = Tensor()) {
  tape.clear();
  std::vector<Var> losses;
  for (size_t m = 0; m < architectures.size(); ++m) {
    losses.push_back(
        task.train_loss(tape, architectures[m], batch, step * architectures.size() + m));
  }
  const Var loss = mean_of(losses);
  tape.backward(loss);
  const Tensor gate = sgd.options().dense
                          ? sgd.step(task.all_parameters(), lr, loss.value(), previous)
                          : sgd.step(tape.parameters(), lr, loss.value(), previous);
  task.finish_step(gate);
  return StepReport(gate);
}

struct ControllerStepOptions {
  int64_t samples = 10;  // architectures an update
  double lr = 5e-5;
  double entropy_weight = 1e-5;  // added to the reward, times the path's entropy
  bool sample_entropy = false;   // its one-sample estimate instead (parity switch sample-entropy)
  SkipTerm skips = {};           // in a space that has them
};

// The samples of one policy update with their rewards.
struct ScoredSamples {
  Rollout rollout;
  std::vector<Architecture> architectures;
  std::vector<double> rewards;
};

// Samples and scores: a device is waited for twice, when the architectures come out and when the
// rewards come back. `update` counts from 0 over the whole search: samples and validation windows
// are functions of it. Task needs
//   std::vector<double> rewards(std::span<const Architecture>, uint64_t first)
// on held-out data, without dropout; sample s is number first + s. It reads them once all have been
// issued.
template <class Task>
ScoredSamples score_samples(Task& task, const Controller& controller,
                            const ControllerStepOptions& options, uint64_t seed, uint64_t update) {
  ScoredSamples samples;
  samples.rollout = controller.sample(options.samples, Random{seed, Stream::policy_sample, update},
                                      0, Trace::kept);
  samples.architectures = architectures_of(samples.rollout);
  samples.rewards =
      task.rewards(samples.architectures, update * static_cast<uint64_t>(options.samples));
  return samples;
}

struct ControllerReport {
  double reward = 0;    // mean over the samples, without the entropy bonus
  double entropy = 0;   // mean entropy of the sampled paths, nats
  double baseline = 0;  // after the update; to be kept where the update was finite
  Architecture best;    // of these samples, by reward
  StepReport step;      // of the policy's weights
};

// The update on these samples. It waits for nothing: the caller settles it (below) once the next
// samples have been scored.
inline ControllerReport policy_update(Tape& tape, Controller& controller, Adam& adam,
                                      const RewardBaseline& baseline,
                                      const ControllerStepOptions& options,
                                      const ScoredSamples& samples) {
  const auto& [rollout, architectures, rewards] = samples;
  std::vector<double> with_bonus = rewards;
  for (size_t s = 0; s < rewards.size(); ++s) {
    with_bonus[s] += options.entropy_weight *
                     (options.sample_entropy ? rollout.sampled_entropy[s] : rollout.entropy[s]);
  }
  RewardBaseline after = baseline;
  const std::vector<double> advantages = after.advantages(with_bonus);
  tape.clear();
  const Var loss =
      reinforce_loss(tape, controller, architectures, advantages, options.skips, rollout.trace);
  tape.backward(loss);
  StepReport step(adam.step(tape.parameters(), options.lr, loss.value()));
  tape.clear();
  const auto mean = [](const std::vector<double>& v) {
    return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
  };
  const auto best = std::max_element(rewards.begin(), rewards.end()) - rewards.begin();
  return {mean(rewards), mean(rollout.entropy), *after.value(),
          architectures[static_cast<size_t>(best)], std::move(step)};
}

// Keeps the baseline of an update that was made.
inline void settle(const ControllerReport& report, RewardBaseline& baseline) {
  if (report.step.finite()) baseline.set(report.baseline);
}

// One policy update, settled at once.
template <class Task>
ControllerReport controller_step(Tape& tape, Task& task, Controller& controller, Adam& adam,
                                 RewardBaseline& baseline, const ControllerStepOptions& options,
                                 uint64_t seed, uint64_t update) {
  const ScoredSamples samples = score_samples(task, controller, options, seed, update);
  ControllerReport report = policy_update(tape, controller, adam, baseline, options, samples);
  settle(report, baseline);
  return report;
}

}  // namespace enas
