// enas_ptb's options: names, defaults, ranges and sources (docs/method.md 1.3, 1.4), its presets,
// and what they become in the engine's terms. `run` has the options of search and of train; there
// train's carry the prefix train-.
#pragma once
#include <string>

#include "apps/run/device.h"
#include "apps/run/options.h"
#include "nas/rnn/task.h"
#include "nas/search.h"
#include "nn/average.h"
#include "nn/schedule.h"

namespace enas {

Registry ptb_registry();
void add_ptb_presets(Registry& registry);  // presets.cpp

// Settings of one phase, read under the names that the command has for them.
class PtbOptions {
 public:
  PtbOptions(const Settings& settings, std::string command)
      : settings_(settings), command_(std::move(command)) {}

  // Search.
  RnnSpace space() const {
    return RnnSpace(static_cast<int>(settings_.integer("nodes")), parity("node0-searched"));
  }
  bool random_strategy() const { return settings_.text("strategy") == "random"; }
  RnnChildOptions shared_child(int64_t vocabulary) const;
  RnnTaskOptions shared_task() const;
  SgdOptions shared_sgd() const;
  int64_t search_epochs() const { return settings_.integer("epochs"); }
  double shared_lr() const { return settings_.real("shared-lr"); }
  int64_t shared_samples() const { return settings_.integer("shared-samples"); }
  WindowPlan::Kind shared_windows() const { return windows("variable-bptt"); }
  ControllerOptions controller() const;
  PolicyShape policy() const;
  ControllerStepOptions controller_update() const;
  int64_t updates_a_phase() const { return settings_.integer("controller-steps"); }
  RewardBaseline baseline() const {
    return RewardBaseline(settings_.real("baseline-decay"), parity("baseline-first"));
  }

  // Train.
  RnnChildOptions final_child(int64_t vocabulary) const {
    return child(vocabulary, train(""), train("init"));
  }
  // The network that a derived architecture will be trained as: final training's in `run`.
  RnnChildOptions stand_alone_child(int64_t vocabulary) const {
    return command_ == "run" ? final_child(vocabulary) : shared_child(vocabulary);
  }
  RnnTaskOptions final_task() const { return task(train(""), train("valid-batch")); }
  SgdOptions final_sgd() const;
  int64_t train_epochs() const { return settings_.integer(train("epochs")); }
  ExponentialRate train_rate() const;
  WindowPlan::Kind train_windows() const { return windows(train("variable-bptt")); }
  AverageOptions train_average() const;

  Device device() const { return device_of(settings_); }  // of the child; the policy is on the CPU
  uint64_t seed() const { return static_cast<uint64_t>(settings_.integer("seed")); }

 private:
  bool parity(const std::string& name) const;
  std::string train(const std::string& name) const {
    return command_ == "run" ? "train-" + name : name;
  }
  DropoutRates dropout(const std::string& prefix) const;
  RnnChildOptions child(int64_t vocabulary, const std::string& prefix,
                        const std::string& init) const;
  RnnTaskOptions task(const std::string& prefix, const std::string& valid_batch) const;
  WindowPlan::Kind windows(const std::string& flag) const {
    return settings_.flag(flag) ? WindowPlan::Kind::variable : WindowPlan::Kind::fixed;
  }

  const Settings& settings_;
  std::string command_;
};

}  // namespace enas
