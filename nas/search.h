// The steps of both phases of a search, on the sampled children alone (docs/method.md section 4).
// Generic over the task: a child with its data. Applications, benchmarks and tests call these same
// functions.
//   shared step      omega <- omega - lr * d/domega mean_m loss(child_m), theta fixed
//   controller step  theta <- Adam(d/dtheta mean_s -log p(arch_s) (R_s + w H_s - b)), omega fixed
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

namespace enas {

// What a step left: read from its gate (ops/grad_norm.h).
struct StepReport {
  double loss = 0;       // with regularisers
  double grad_norm = 0;  // before clipping
  bool finite = true;    // false: nothing that outlives the step has changed
  Tensor gate;           // for what else hangs on the step: weight averages
};
inline StepReport report_of(const Tensor& gate) {
  return {gate.item(kGateLoss), gate.item(kGateNorm), gate.item(kGateFinite) != 0, gate};
}

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
// The same function trains one architecture from scratch (M = 1).
template <class Task, class Batch>
requires SharedTask<Task, Batch> StepReport shared_step(Tape& tape, Task& task,
                                                        std::span<const Architecture> architectures,
                                                        const Batch& batch, uint64_t step, Sgd& sgd,
                                                        double lr) {
  tape.clear();
  std::vector<Var> losses;
  for (size_t m = 0; m < architectures.size(); ++m) {
    losses.push_back(
        task.train_loss(tape, architectures[m], batch, step * architectures.size() + m));
  }
  const Var loss = mean_of(losses);
  tape.backward(loss);
  const Tensor gate = sgd.options().dense ? sgd.step(task.all_parameters(), lr, loss.value())
                                          : sgd.step(tape.parameters(), lr, loss.value());
  task.finish_step(gate);
  return report_of(gate);
}

struct ControllerStepOptions {
  int64_t samples = 10;  // architectures an update
  double lr = 5e-5;
  double entropy_weight = 1e-5;  // added to the reward, times the path's entropy
  bool sample_entropy = false;   // its one-sample estimate instead (parity switch sample-entropy)
};

struct ControllerReport {
  double reward = 0;   // mean over the samples, without the entropy bonus
  double entropy = 0;  // mean entropy of the sampled paths, nats
  double baseline = 0;
  double grad_norm = 0;
  bool finite = true;
  Architecture best;    // of these samples, by reward
  int64_t samples = 0;  // 0: no update was made
};

// One policy update. `update` counts from 0 over the whole search: samples and validation windows
// are functions of it. Task needs  double reward(const Architecture&, uint64_t sample)  on held-out
// data, without dropout.
template <class Task>
ControllerReport controller_step(Tape& tape, Task& task, Controller& controller, Adam& adam,
                                 RewardBaseline& baseline, const ControllerStepOptions& options,
                                 uint64_t seed, uint64_t update) {
  const auto samples = static_cast<size_t>(options.samples);
  const Rollout rollout =
      controller.sample(options.samples, Random{seed, Stream::policy_sample, update});
  const std::vector<Architecture> architectures = architectures_of(rollout);
  std::vector<double> rewards, with_bonus;
  for (size_t s = 0; s < samples; ++s) {
    rewards.push_back(task.reward(architectures[s], update * samples + s));
    const double entropy = options.sample_entropy ? rollout.sampled_entropy[s] : rollout.entropy[s];
    with_bonus.push_back(rewards[s] + options.entropy_weight * entropy);
  }
  RewardBaseline after = baseline;  // kept only where the update is
  const std::vector<double> advantages = after.advantages(with_bonus);
  tape.clear();
  const Var loss = reinforce_loss(tape, controller, architectures, advantages);
  tape.backward(loss);
  const StepReport step = report_of(adam.step(tape.parameters(), options.lr, loss.value()));
  if (step.finite) baseline = after;
  tape.clear();
  const auto mean = [&](const std::vector<double>& v) {
    return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
  };
  const size_t best =
      static_cast<size_t>(std::max_element(rewards.begin(), rewards.end()) - rewards.begin());
  return {mean(rewards), mean(rollout.entropy), *after.value(), step.grad_norm,
          step.finite,   architectures[best],   options.samples};
}

}  // namespace enas
