#include "ops/controller_plan.h"

#include <algorithm>

namespace enas {
namespace {

using Kind = Decision::Kind;
using From = Decision::From;

bool attends(const Decision& d) { return d.kind == Kind::index || d.kind == Kind::skips; }

// The last of the steps that decided what `from` reads.
int64_t last_source(From from, const std::vector<ControllerPlan::Step>& steps) {
  if (from == From::start) return -1;
  const Kind kind = from == From::embedding ? Kind::op
                    : from == From::skips   ? Kind::skips
                                            : Kind::index;
  size_t t = steps.size();
  while (t > 0 && steps[t - 1].decision.kind != kind) --t;
  return static_cast<int64_t>(t) - 1;
}

}  // namespace

ControllerPlan::ControllerPlan(const DecisionList& list) {
  int64_t most = 0;  // anchors that are attended to have smaller numbers
  for (const Decision& d : list.steps)
    if (attends(d)) most = std::max<int64_t>(most, d.first_anchor + d.count);
  anchors.resize(static_cast<size_t>(list.zero_anchors));
  steps.reserve(list.steps.size());
  for (const Decision& d : list.steps) {
    Step step{d};
    step.from_anchors = d.input != From::start && d.input != From::embedding;
    step.source = last_source(d.input, steps);
    step.choice = choices;
    step.logit = logits;
    step.attended = attended;
    choices += choices_of(d);
    if (d.kind != Kind::advance) logits += d.count;
    if (attends(d)) {
      step.query = queries++;
      attended += d.count;
    }
    skips += d.kind == Kind::skips;
    if (d.leaves_anchor) {
      step.anchor = static_cast<int64_t>(anchors.size());
      if (step.anchor < most) step.key = keys++;
      const auto number = static_cast<int64_t>(steps.size());
      anchors.push_back({d.zero_anchor ? -1 : number, step.key});
    }
    steps.push_back(step);
  }
}

}  // namespace enas
