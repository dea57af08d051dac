// What happens when a loss, a gradient or a reward is NaN or infinite (--on-nan). The step has
// changed nothing that outlives it: weights, optimizer, averages, baseline and controller are as
// before, the carried state is zero.
//   stop  a checkpoint, then exit 6
//   skip  the step counts, the run goes on; more than 1 % of the steps so far (and more than 10) is
//         exit 6 after all
// Each incident is written to RUN/incidents/N.json with what a replay needs.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "apps/run/session.h"

namespace enas {

struct Incident {
  std::string phase;  // shared, controller, scoring, train
  int64_t step = 0;   // from 1
  std::string what;   // "loss nan, gradient norm inf"
  std::string arch;   // of the step, where it has one
};

class IncidentLog {
 public:
  explicit IncidentLog(Session& session) : session_(session) {}
  // `save` writes the stage's checkpoint. Throws Error{diverged} where the run must end.
  void report(const Incident& incident, const std::function<void()>& save);
  // Whether an incident at this step, the next to be reported, would end the run.
  bool next_ends_run(int64_t step) const;
  int64_t count() const { return count_; }
  void set_count(int64_t count) { count_ = count; }  // from the checkpoint

 private:
  Session& session_;
  int64_t count_ = 0;
};

}  // namespace enas
