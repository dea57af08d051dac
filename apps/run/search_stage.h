// The search: shared phases and controller phases in turn (docs/method.md section 4), resumable
// between any two steps.
#pragma once
#include "apps/run/epoch_steps.h"
#include "apps/run/stages.h"
#include "nas/baseline.h"

namespace enas {

class SearchStage {
 public:
  SearchStage(Session& session, const Terms& terms, Search search);
  // Runs to the end, to --max-steps or to the budget, and writes shared.safetensors: true. False: a
  // signal came; a checkpoint was saved. `from`: a checkpoint of this stage.
  bool run(const Checkpoint* from, double budget_share);

 private:
  // A policy update whose gate has not been read.
  struct Updated {
    int64_t update, number;  // of this epoch's phase, from 0; of the search, from 1
    ControllerReport report;
  };
  EpochSteps::Stage steps_stage();
  Next shared_phase();
  Next controller_phase();
  // The next update, without waiting for its gate; where rewards or logits are not finite an
  // incident and none. settle_last reads the one before.
  std::optional<Updated> update_policy(const std::function<void()>& settle_last);
  void settle_update(const Updated& made, bool phase_ends, Progress& progress);
  Next scoring_phase();  // of random search, in the place of the controller's
  std::vector<Architecture> sample(int64_t count, int64_t first) const;
  void score_uniform(Progress& progress);
  void controller_line(const Updated& made);
  double policy_entropy() const;
  void save(bool must);
  void load(const Checkpoint& checkpoint);
  void finish();

  Session& session_;
  const Terms& terms_;
  Search search_;
  ParameterStore& weights_;
  int64_t log_every_;
  Controller controller_;
  Sgd sgd_;
  Adam adam_;
  RewardBaseline baseline_;
  EntropyBounds bounds_;
  ScoredCandidates scored_;  // of random search
  IncidentLog incidents_;
  StepGuard guard_;
  EpochSteps steps_;  // the shared ones
  Tape tape_;         // of the policy
  OneLate<Updated> last_;

  // Where the search stands: with steps_, all that a resume needs beside the tensors.
  int64_t update_ = 0;   // of this epoch's controller phase
  int64_t updates_ = 0;  // policy updates so far
  double first_entropy_ = 0;
};

}  // namespace enas
