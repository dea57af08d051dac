// What the shared phase of a search and the training of one architecture have in common: a step on
// each window of the training text, its results read one step late, metric lines, incidents, and
// the position that a resume needs.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "apps/ptb/incidents.h"
#include "apps/ptb/options.h"
#include "apps/ptb/step_meter.h"
#include "apps/run/progress.h"
#include "apps/run/step_guard.h"

namespace enas {

class TextSteps {
 public:
  struct Stage {
    std::string phase;  // "shared", "train"
    WindowPlan::Kind windows;
    int64_t epochs, log_every;
    bool alone;  // nothing else between its epochs: the time left is that of all of them
    // All steps before this one are read before it is issued; 0: none.
    int64_t settled_step;
    std::function<void(int64_t step, const Tensor& gate)> updated;  // after each one issued
    std::function<void()> save;                                     // writes the stage's checkpoint
    std::function<void()> save_now;  // the same, where a failed write must end the run
  };
  TextSteps(Session& session, StepGuard& guard, IncidentLog& incidents, RnnTask& task, Sgd& sgd,
            Stage stage);

  // The rest of the epoch, at a rate for windows of bptt positions; shorter ones have less.
  // draw(first, n): the architectures of windows first, ..., first + n - 1, as many for each.
  // All steps have been read when it returns.
  using Draw = std::function<std::vector<Architecture>(int64_t first, int64_t n)>;
  Next run_epoch(double lr, const Draw& draw);
  void next_epoch() {
    ++epoch_;
    window_ = 0;
  }
  int64_t epoch() const { return epoch_; }
  int64_t steps() const { return steps_; }  // of all epochs
  void save(Checkpoint& checkpoint) const;
  void load(const Checkpoint& checkpoint);

 private:
  struct Issued {
    int64_t window, number;  // number: from 1, over all epochs
    Architecture arch;       // the first of the step's
    double lr;
    int64_t tokens;
    UnreadScore cross_entropy;
    StepReport report;
    double seconds;
  };
  Issued issue(const WindowSpan& span, std::span<const Architecture> architectures, double lr);
  void settle(const Issued& step, bool epoch_ends, Progress& progress);
  double rate(double lr, const WindowSpan& span) const;
  void write_line(int64_t step, double lr);

  Session& session_;
  StepGuard& guard_;
  IncidentLog& incidents_;
  RnnTask& task_;
  Sgd& sgd_;
  Stage stage_;
  Tape tape_;
  OneLate<Issued> last_;
  StepMeter meter_;
  int64_t epoch_ = 0, window_ = 0, steps_ = 0;  // where the stage stands
};

}  // namespace enas
