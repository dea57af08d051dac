// What the shared phase of a search and the training of one architecture have in common: a step on
// each batch of the training data, its results read one step late, metric lines, incidents, and
// the position that a resume needs.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "apps/run/incidents.h"
#include "apps/run/learner.h"
#include "apps/run/progress.h"
#include "apps/run/step_guard.h"
#include "apps/run/step_meter.h"

namespace enas {

class EpochSteps {
 public:
  struct Stage {
    std::string phase;  // "shared", "train"
    int64_t epochs;
    bool alone;  // nothing else between its epochs: the time left is that of all of them
    // All steps before this one are read before it is issued; 0: none.
    int64_t settled_step;
    std::function<void(int64_t step, const Tensor& gate)> updated;  // after each one issued
    std::function<void()> save;                                     // writes the stage's checkpoint
    std::function<void()> save_now;  // the same, where a failed write must end the run
  };
  EpochSteps(Session& session, const Terms& terms, StepGuard& guard, IncidentLog& incidents,
             const Learner& learner, Sgd& sgd, Stage stage);

  // The rest of the epoch, at a rate that the learner may change for a batch.
  // draw(first, n): the architectures of batches first, ..., first + n - 1, as many for each.
  // All steps have been read when it returns.
  using Draw = std::function<std::vector<Architecture>(int64_t first, int64_t n)>;
  Next run_epoch(double lr, const Draw& draw);
  void next_epoch() {
    ++epoch_;
    batch_ = 0;
  }
  int64_t epoch() const { return epoch_; }
  int64_t steps() const { return steps_; }  // of all epochs
  void save(Checkpoint& checkpoint) const;
  void load(const Checkpoint& checkpoint);

 private:
  struct Issued {
    int64_t batch, number;  // number: from 1, over all epochs
    Architecture arch;      // the first of the step's
    double lr;
    int64_t items;
    Learner::Step step;
    double seconds;
  };
  Issued issue(int64_t items, std::span<const Architecture> architectures, double lr);
  void settle(const Issued& issued, bool epoch_ends, Progress& progress);
  double rate(double lr, int64_t batch) const {
    return learner_.rate ? learner_.rate(lr, batch) : lr;
  }
  void write_line(int64_t step, double lr);

  Session& session_;
  const Terms& terms_;
  StepGuard& guard_;
  IncidentLog& incidents_;
  const Learner& learner_;
  Sgd& sgd_;
  Stage stage_;
  int64_t log_every_;
  Tape tape_;
  OneLate<Issued> last_;
  StepMeter meter_;
  int64_t epoch_ = 0, batch_ = 0, steps_ = 0;  // where the stage stands
};

// --max-steps; 0: no limit.
int64_t max_steps_of(const Settings& settings);
// Weights and buffers under "weights.NAME", for checkpoints of a stage.
void keep_weights(const ParameterStore& store, std::map<std::string, Tensor>& tensors);
void restore_weights(ParameterStore& store, const Checkpoint& from);

}  // namespace enas
