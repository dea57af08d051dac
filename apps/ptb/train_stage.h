// Trains one architecture from scratch (docs/method.md 1.4), resumable between any two steps, and
// evaluates weight files.
#pragma once
#include <map>

#include "apps/ptb/incidents.h"
#include "apps/ptb/options.h"
#include "apps/ptb/step_meter.h"
#include "apps/run/session.h"
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
  enum class Next { go_on, finish, leave };
  Next before_step();
  Next train_epoch();
  void train_line(const WindowSpan& last);  // of the steps since the line before
  double rate(const WindowSpan& span) const;
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
  Tape tape_;

  int64_t epoch_ = 0, window_ = 0, steps_ = 0;
  bool validated_ = false;  // this epoch's validation is done
  double best_ = 0;         // validation perplexity; 0: none yet
  double last_ = 0;         // the newest one
  int64_t best_epoch_ = 0;
  std::map<std::string, Tensor> best_weights_;
  std::string ended_by_;  // what cut training short, in words
  StepMeter meter_;
};

}  // namespace enas
