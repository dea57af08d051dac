// Trains one architecture from scratch (docs/method.md 1.4), resumable between any two steps, and
// evaluates weight files.
#pragma once
#include <map>

#include "apps/ptb/text_steps.h"
#include "data/text.h"

namespace enas {

class TrainStage {
 public:
  TrainStage(Session& session, const PtbOptions& options, const Corpus& corpus,
             const Architecture& arch, const RnnSpace& space);
  // True: model.safetensors is written (averaged weights if averaging began, else those best on
  // validation).
  bool run(const Checkpoint* from, double budget_share);

 private:
  TextSteps::Stage steps_stage();
  Next train_epoch();
  void validate();
  void save(bool must);
  void load(const Checkpoint& checkpoint);
  void finish();

  Session& session_;
  const PtbOptions& options_;
  const Corpus& corpus_;
  Architecture arch_;
  RnnChild child_;
  RnnTask task_;
  Sgd sgd_;
  WeightAverage average_;
  IncidentLog incidents_;
  StepGuard guard_;
  TextSteps steps_;

  bool validated_ = false;  // this epoch's validation is done
  double best_ = 0;         // validation perplexity; 0: none yet
  double last_ = 0;         // the newest one
  int64_t best_epoch_ = 0;
  std::map<std::string, Tensor> best_weights_;
};

}  // namespace enas
