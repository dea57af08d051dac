// The question every training loop asks between two steps, and what makes a loop late: the host
// reads step k only once step k + 1 has been issued, so that a device never waits for it.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "apps/run/session.h"

namespace enas {

enum class Next {
  go_on,
  finish,  // --budget or --max-steps is used up: the stage ends here, with a result
  leave    // a signal came: a checkpoint, no result
};

class StepGuard {
 public:
  // max_steps of a stage; 0: no limit.
  StepGuard(Session& session, int64_t max_steps) : session_(session), max_steps_(max_steps) {}
  // After `steps` steps of the stage. `settle` reads what is still unread: before the loop ends
  // here and before `save`, which is called where a checkpoint is due.
  Next before_step(int64_t steps, const std::function<void()>& settle,
                   const std::function<void()>& save);
  const std::string& ended_by() const { return ended_by_; }  // what cut the stage short, in words

 private:
  Session& session_;
  int64_t max_steps_;
  std::string ended_by_;
};

// The step issued last and not read yet.
template <class Step>
class OneLate {
 public:
  void hold(Step step) { step_ = std::move(step); }
  const Step* held() const { return step_ ? &*step_ : nullptr; }
  // Reads it, where there is one. Nothing is held afterwards, also where `read` throws.
  template <class Read>
  void settle(Read&& read) {
    const std::optional<Step> step = std::exchange(step_, std::nullopt);
    if (step) read(*step);
  }

 private:
  std::optional<Step> step_;
};

}  // namespace enas
