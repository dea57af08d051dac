// Trains one architecture from scratch, resumable between any two steps.
#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "apps/run/epoch_steps.h"
#include "apps/run/stages.h"

namespace enas {

class TrainStage {
 public:
  TrainStage(Session& session, const Terms& terms, Training training);
  // True: model.safetensors is written (averaged weights if averaging began, else those best on
  // validation, or the last ones where the training does not select).
  bool run(const Checkpoint* from, double budget_share);

 private:
  std::vector<std::pair<std::string, Tensor*>> values();  // of weights and buffers
  EpochSteps::Stage steps_stage();
  Next train_epoch();
  void validate();
  void save(bool must);
  void load(const Checkpoint& checkpoint);
  void finish();

  Session& session_;
  const Terms& terms_;
  Training training_;
  ParameterStore& weights_;
  Sgd sgd_;
  WeightAverage average_;
  IncidentLog incidents_;
  StepGuard guard_;
  EpochSteps steps_;

  bool validated_ = false;  // this epoch's validation is done
  double best_ = 0;         // figure on validation
  double last_ = 0;         // the newest one
  int64_t best_epoch_ = 0;  // 0: none yet
  std::map<std::string, Tensor> best_weights_;
};

}  // namespace enas
