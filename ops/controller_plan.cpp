#include "ops/controller_plan.h"

#include <algorithm>

namespace enas {
namespace {

bool attends(const Decision& d) {
  return d.kind == Decision::Kind::index || d.kind == Decision::Kind::skips;
}
bool reads_anchors(Decision::From from) {
  return from != Decision::From::start && from != Decision::From::embedding;
}

}  // namespace

ControllerPlan::ControllerPlan(const DecisionList& list) {
  int64_t most = 0;  // anchors that are attended to have smaller numbers
  for (const Decision& d : list.steps)
    if (attends(d)) most = std::max<int64_t>(most, d.first_anchor + d.count);
  anchors.resize(static_cast<size_t>(list.zero_anchors));
  for (const Decision& d : list.steps) {
    Step step{d};
    step.choice = choices;
    step.logit = logits;
    step.attended = attended;
    choices += choices_of(d);
    if (d.kind != Decision::Kind::advance) logits += d.count;
    if (reads_anchors(d.input)) step.input = inputs++;
    if (attends(d)) {
      step.query = queries++;
      attended += d.count;
    }
    skips += d.kind == Decision::Kind::skips;
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
