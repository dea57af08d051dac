// The search: shared phases and controller phases in turn (docs/method.md section 4), resumable
// between any two steps.
#pragma once
#include "apps/ptb/incidents.h"
#include "apps/ptb/options.h"
#include "apps/ptb/step_meter.h"
#include "apps/run/session.h"
#include "data/text.h"
#include "nas/baseline.h"

namespace enas {

class SearchStage {
 public:
  SearchStage(Session& session, const PtbOptions& options, const Corpus& corpus);
  // Runs to the end, to --max-steps or to the budget, and writes shared.safetensors: true. False: a
  // signal came; a checkpoint was saved. `from`: a checkpoint of this stage.
  bool run(const Checkpoint* from, double budget_share);

 private:
  enum class Next { go_on, finish, leave };
  Next before_step();
  Next shared_phase();
  void shared_line(const WindowSpan& last);  // of the steps since the line before
  double shared_rate(const WindowSpan& span) const;
  Next controller_phase();
  Next scoring_phase();  // of random search, in the place of the controller's
  std::vector<Architecture> sample(int64_t count, int64_t first) const;
  void controller_line(const ControllerReport& report);
  void incident(const std::string& phase, int64_t step, const std::string& what,
                const std::string& arch);
  double policy_entropy() const;
  void save(bool must);
  void load(const Checkpoint& checkpoint);
  void finish();

  Session& session_;
  const PtbOptions& options_;
  const Corpus& corpus_;
  RnnChild child_;
  RnnTask task_;
  Controller controller_;
  Sgd sgd_;
  Adam adam_;
  RewardBaseline baseline_;
  EntropyBounds bounds_;
  ScoredCandidates scored_;  // of random search
  IncidentLog incidents_;
  Tape tape_;

  // Where the search stands: all that a resume needs beside the tensors.
  int64_t epoch_ = 0;
  int64_t window_ = 0;   // of this epoch's shared phase; past the last one in the controller phase
  int64_t update_ = 0;   // of this epoch's controller phase
  int64_t steps_ = 0;    // shared steps so far
  int64_t updates_ = 0;  // policy updates so far
  double first_entropy_ = 0;
  std::string ended_by_;  // what cut the search short, in words
  StepMeter meter_;
};

}  // namespace enas
