#include "nas/controller.h"

#include <algorithm>
#include <cmath>

#include "nn/init.h"

namespace enas {

Controller::Controller(DecisionList list, int operations, const ControllerOptions& options,
                       uint64_t seed, DType dtype, Device device)
    : list_(std::move(list)), choices_(choice_counts(list_).size()), parameters_(device) {
  const int64_t h = options.hidden;
  parameters_.add("controller.start", {1, h}, dtype);
  parameters_.add("controller.embedding", {operations, h}, dtype);
  parameters_.add("controller.lstm", {2 * h, 4 * h}, dtype);
  parameters_.add("controller.key", {h, h}, dtype);
  parameters_.add("controller.query", {h, h}, dtype);
  parameters_.add("controller.score", {h, 1}, dtype);
  if (list_.op_matrix) parameters_.add("controller.output", {h, operations}, dtype);
  for (Parameter& p : parameters_) init_uniform(p, options.init_range, seed);
  if (list_.start_bias.empty()) return;
  check(static_cast<int64_t>(list_.start_bias.size()) == operations, "controller", "a bias of ",
        list_.start_bias.size(), " values for ", operations, " operations");
  parameters_.add("controller.bias", {1, operations}, dtype).value =
      Tensor::from(list_.start_bias, {1, operations}, dtype).to(device);
}

ControllerWeights Controller::weights() const {
  const auto value = [&](const char* name) { return parameters_.get(name).value; };
  return {value("controller.start"),
          value("controller.embedding"),
          value("controller.lstm"),
          value("controller.key"),
          value("controller.query"),
          value("controller.score"),
          list_.op_matrix ? value("controller.output") : Tensor(),
          list_.start_bias.empty() ? Tensor() : value("controller.bias")};
}

Rollout Controller::sample(int64_t samples, const Random& random, int64_t first_sample,
                           Trace trace) const {
  return controller_rollout(weights(), list_, samples, random, first_sample, trace);
}

Controller::Score Controller::log_prob(Tape& tape, const Architecture& arch,
                                       const ScoreOptions& want) {
  return controller_record(vars(tape), list_, arch.choices, want);
}

Controller::Score Controller::log_probs(Tape& tape, std::span<const Architecture> architectures,
                                        const ScoreOptions& want) {
  std::vector<int32_t> choices;
  for (const Architecture& arch : architectures) {
    check(arch.choices.size() == choices_, "controller", "architecture has ", arch.choices.size(),
          " choices, the policy decides ", choices_);
    choices.insert(choices.end(), arch.choices.begin(), arch.choices.end());
  }
  return controller_score(vars(tape), list_, std::move(choices), want);
}

ControllerVars Controller::vars(Tape& tape) {
  const auto use = [&](const char* name) { return tape.use(parameters_.get(name)); };
  return {use("controller.start"),
          use("controller.embedding"),
          use("controller.lstm"),
          use("controller.key"),
          use("controller.query"),
          use("controller.score"),
          list_.op_matrix ? use("controller.output") : Var(),
          list_.start_bias.empty() ? Var() : use("controller.bias")};
}

namespace {

double softmax_entropy(const std::vector<double>& logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double total = 0, weighted = 0;
  for (const double logit : logits) {
    total += std::exp(logit - top);
    weighted += std::exp(logit - top) * (logit - top);
  }
  return std::log(total) - weighted / total;
}

// Logits anywhere in [centre - c, centre + c]. Lowest: a corner of the box in which the k largest
// centres are raised and the others lowered, for some k (raising a larger one instead never raises
// entropy). Highest: all as near to one level as the box lets them, for the best level.
EntropyBounds box_bounds(const std::vector<double>& centres, double c) {
  std::vector<double> sorted = centres;
  std::sort(sorted.rbegin(), sorted.rend());
  EntropyBounds bounds{std::log(static_cast<double>(sorted.size())), 0};
  for (size_t raised = 1; raised <= sorted.size(); ++raised) {
    std::vector<double> corner = sorted;
    for (size_t j = 0; j < corner.size(); ++j) corner[j] += j < raised ? c : -c;
    bounds.lowest = std::min(bounds.lowest, softmax_entropy(corner));
  }
  constexpr int kLevels = 4000;
  for (int i = 0; i <= kLevels; ++i) {
    const double level = sorted.back() - c + (sorted.front() - sorted.back() + 2 * c) * i / kLevels;
    std::vector<double> flat = sorted;
    for (double& logit : flat) logit = std::clamp(level, logit - c, logit + c);
    bounds.highest = std::max(bounds.highest, softmax_entropy(flat));
  }
  return bounds;
}

}  // namespace

EntropyBounds entropy_bounds(const DecisionList& list) {
  EntropyBounds total;
  for (const Decision& decision : list.steps) {
    if (decision.kind == Decision::Kind::advance || decision.count == 0) continue;
    // A skip is a choice of its own between two logits.
    const bool skips = decision.kind == Decision::Kind::skips;
    const double times = skips ? decision.count : 1;
    const size_t candidates = skips ? 2 : static_cast<size_t>(decision.count);
    if (decision.tanh_constant == 0) {
      total.highest += times * std::log(static_cast<double>(candidates));
      continue;
    }
    std::vector<double> centres = offsets_of(decision);
    centres.resize(candidates, 0);
    const EntropyBounds one = box_bounds(centres, decision.tanh_constant);
    total.lowest += times * one.lowest;
    total.highest += times * one.highest;
  }
  return total;
}

}  // namespace enas
