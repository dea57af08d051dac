// Where each step of a decision list keeps what a walk over it computes (ops/controller_walk.h):
// numbers of rows, from the list alone; and what a step reads, from the choices. Internal to ops/.
#pragma once
#include <vector>

#include "ops/controller_rollout.h"

namespace enas {

struct ControllerPlan {
  struct Step {
    Decision decision;
    bool from_anchors = false;  // the input is made of anchors, else start or of the embedding
    int64_t source = -1;        // the step that chose the input
    // Row number in its own array, or -1: a query, the key of an anchor that some later step
    // attends to.
    int64_t query = -1, key = -1;
    int64_t choice = 0;    // the first of its choices
    int64_t logit = 0;     // the first of its candidates' logits
    int64_t attended = 0;  // the first of its candidates, of those that are attended to
    int64_t anchor = -1;   // that it leaves
  };
  struct Anchor {
    int64_t step = -1;  // whose h it is; -1: its vector is zero
    int64_t key = -1;   // -1: its key is zero
  };
  std::vector<Step> steps;
  std::vector<Anchor> anchors;
  int64_t queries = 0, keys = 0, choices = 0, logits = 0, attended = 0, skips = 0;

  ControllerPlan() = default;
  explicit ControllerPlan(const DecisionList& list);

  // Of an architecture with these choices: the row of the table (start, then the embedding) that is
  // the input of a step which is not made of anchors.
  int64_t table_row(const Step& step, const int32_t* actions) const {
    return step.source < 0 ? 0 : 1 + actions[source_of(step).choice];
  }
  // Calls f(anchor, factor) for the anchors whose sum is the input of a step that is made of them;
  // not for those whose vector is zero.
  template <class F>
  void each_anchor(const Step& step, const int32_t* actions, F f) const {
    const Step& source = source_of(step);
    const Decision& d = source.decision;
    const int32_t* chosen = actions + source.choice;
    const auto visit = [&](int32_t j, double factor) {
      const int64_t anchor = d.first_anchor + j;
      if (anchors[static_cast<size_t>(anchor)].step >= 0) f(anchor, factor);
    };
    if (step.decision.input != Decision::From::skips) {
      const bool bare = step.decision.input == Decision::From::bare_anchor;
      return visit(*chosen, bare ? 1.0 : 1 / (0.1 + (d.count - *chosen)));
    }
    int32_t count = 0;
    for (int32_t j = 0; j < d.count; ++j) count += chosen[j];
    for (int32_t j = 0; j < d.count; ++j)
      if (chosen[j] == 1) visit(j, 1 / (1.0 + count));
  }

 private:
  const Step& source_of(const Step& step) const { return steps[static_cast<size_t>(step.source)]; }
};

}  // namespace enas
