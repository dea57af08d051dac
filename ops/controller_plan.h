// Where each step of a decision list keeps what ops/controller_score.cpp computes: numbers of rows,
// from the list alone. Internal to ops/.
#pragma once
#include <vector>

#include "ops/controller_rollout.h"

namespace enas {

struct ControllerPlan {
  struct Step {
    Decision decision;
    // Row number in its own array, or -1: an input that is made of anchors, a query, the key of an
    // anchor that some later step attends to.
    int64_t input = -1, query = -1, key = -1;
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
  int64_t inputs = 0, queries = 0, keys = 0, choices = 0, logits = 0, attended = 0, skips = 0;

  ControllerPlan() = default;
  explicit ControllerPlan(const DecisionList& list);
};

}  // namespace enas
