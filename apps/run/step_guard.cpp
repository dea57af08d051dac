#include "apps/run/step_guard.h"

namespace enas {

Next StepGuard::before_step(int64_t steps, const std::function<void()>& settle,
                            const std::function<void()>& save) {
  Next next = Next::go_on;
  if (session_.interrupted()) {
    next = Next::leave;
  } else {
    if (session_.out_of_budget()) ended_by_ = "ended by --budget";
    if (max_steps_ > 0 && steps >= max_steps_) ended_by_ = "ended by --max-steps";
    if (!ended_by_.empty()) next = Next::finish;
  }
  const bool save_due = next == Next::go_on && session_.save_due();
  if (next != Next::go_on || save_due) settle();
  if (save_due) save();
  return next;
}

}  // namespace enas
