// enas_cifar's options: names, defaults, ranges and sources (docs/method.md 2.2, 2.3, 2.4, 3.3,
// 3.4), its presets, and what they become in the engine's terms. Defaults and presets depend on
// --space. `run` has the options of search and of train; there train's carry the prefix train-.
#pragma once
#include <string>

#include "apps/cifar/space.h"
#include "apps/run/device.h"
#include "apps/run/options.h"
#include "data/image_set.h"
#include "nas/image_task.h"
#include "nas/macro/child.h"
#include "nas/macro/final.h"
#include "nas/micro/child.h"
#include "nas/micro/final.h"
#include "nas/search.h"
#include "nn/schedule.h"

namespace enas {

Registry cifar_registry();
void add_cifar_defaults(Registry& registry);  // presets.cpp
void add_cifar_presets(Registry& registry);

// What the data say about a network.
struct ImageShape {
  int64_t classes = 10, size = 32;
};

// Settings of one phase, read under the names that the command has for them.
class CifarOptions {
 public:
  CifarOptions(const Settings& settings, std::string command)
      : settings_(settings), command_(std::move(command)) {}

  bool macro() const { return settings_.text("space") == "macro"; }
  // The space of the search; that of an architecture's text, which must be of --space.
  ImageSpace space() const;
  ImageSpace space_of(const std::string& text) const;

  // Search.
  bool random_strategy() const { return settings_.text("strategy") == "random"; }
  MacroChildOptions macro_child(const ImageShape& shape) const;
  MicroChildOptions micro_child(const ImageShape& shape) const;
  PolicyShape policy() const;
  ImageTaskOptions shared_task() const;
  AugmentOptions shared_augment() const { return augment(""); }
  int64_t shared_batch() const { return settings_.integer("batch"); }
  SgdOptions shared_sgd() const;
  CosineRate shared_rate() const;
  int64_t search_epochs() const { return settings_.integer("epochs"); }
  int64_t shared_samples() const { return settings_.integer("shared-samples"); }
  ControllerOptions controller() const;
  AdamOptions controller_adam() const;
  ControllerStepOptions controller_update() const;
  int64_t updates_a_phase() const { return settings_.integer("controller-steps"); }
  RewardBaseline baseline() const {
    return RewardBaseline(settings_.real("baseline-decay"), parity("baseline-first"));
  }

  // Train.
  MacroFinalOptions macro_final(const ImageShape& shape) const;
  MicroFinalOptions micro_final(const ImageShape& shape) const;
  ImageTaskOptions final_task(int64_t steps_an_epoch) const;
  AugmentOptions final_augment() const { return augment(train("")); }
  int64_t train_batch() const { return settings_.integer(train("batch")); }
  SgdOptions final_sgd() const;
  CosineRate train_rate() const;
  int64_t train_epochs() const { return settings_.integer(train("epochs")); }
  bool train_on_all() const { return settings_.flag("train-on-all"); }

  Device device() const { return device_of(settings_); }  // of the child; the policy is on the CPU
  uint64_t seed() const { return static_cast<uint64_t>(settings_.integer("seed")); }
  bool parity(const std::string& name) const;

 private:
  std::string train(const std::string& name) const {
    return command_ == "run" ? "train-" + name : name;
  }
  AugmentOptions augment(const std::string& prefix) const;
  CosineRate rate(const std::string& prefix) const;
  SgdOptions sgd(const std::string& prefix, const std::string& own) const;

  const Settings& settings_;
  std::string command_;
};

// Refuses (kind usage) parity switches of the other space.
void check_parity(const Settings& settings, const std::string& where);

}  // namespace enas
