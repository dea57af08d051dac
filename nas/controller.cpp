#include "nas/controller.h"

#include <algorithm>
#include <cmath>

#include "nn/init.h"
#include "ops/entropy.h"
#include "ops/log_softmax.h"
#include "ops/lstm_cell.h"
#include "ops/matmul.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/structure.h"

namespace enas {

Controller::Controller(DecisionList list, int operations, const ControllerOptions& options,
                       uint64_t seed, DType dtype, Device device)
    : list_(std::move(list)), hidden_(options.hidden), parameters_(device) {
  const int64_t h = hidden_;
  parameters_.add("controller.start", {1, h}, dtype);
  parameters_.add("controller.embedding", {operations, h}, dtype);
  parameters_.add("controller.lstm", {2 * h, 4 * h}, dtype);
  parameters_.add("controller.key", {h, h}, dtype);
  parameters_.add("controller.query", {h, h}, dtype);
  parameters_.add("controller.score", {h, 1}, dtype);
  for (Parameter& p : parameters_) init_uniform(p, options.init_range, seed);
}

ControllerWeights Controller::weights() const {
  const auto value = [&](const char* name) { return parameters_.get(name).value; };
  return {value("controller.start"), value("controller.embedding"), value("controller.lstm"),
          value("controller.key"),   value("controller.query"),     value("controller.score")};
}

Rollout Controller::sample(int64_t samples, const Random& random, int64_t first_sample) const {
  return controller_rollout(weights(), list_, samples, random, first_sample);
}

namespace {

// logits [1, n] -> C tanh(logits / T).
Var bounded(const Var& logits, const Decision& decision) {
  const Var scaled = decision.temperature == 1 ? logits : scale(logits, 1 / decision.temperature);
  return decision.tanh_constant == 0 ? scaled : scale(tanh(scaled), decision.tanh_constant);
}

// -(position - j)^2 bias for the candidates j = 0 .. count - 1, [1, count].
Tensor distance_penalty(const Decision& decision, DType dtype) {
  std::vector<double> penalty;
  for (int32_t j = 0; j < decision.count; ++j) {
    const double distance = decision.count - j;
    penalty.push_back(-distance * distance * decision.distance_bias);
  }
  return Tensor::from(penalty, {1, decision.count}, dtype);
}

}  // namespace

Controller::Score Controller::log_prob(Tape& tape, const Architecture& arch, bool with_entropy) {
  const auto use = [&](const char* name) { return tape.use(parameters_.get(name)); };
  const Var start = use("controller.start"), embedding = use("controller.embedding"),
            lstm = use("controller.lstm"), key = use("controller.key"),
            query = use("controller.query"), score = use("controller.score");
  const DType dtype = start.dtype();
  const Device device = parameters_.device();
  const auto one_index = [device](int32_t i) { return Tensor::from_indices({i}, {1}).to(device); };
  const Var zero(Tensor::zeros({1, hidden_}, dtype, device));
  std::vector<Var> anchors(static_cast<size_t>(list_.zero_anchors), zero), keys = anchors;
  LstmState state{zero, zero};
  std::vector<Var> log_probs, entropies;
  int32_t last_op = 0, last_index = 0, last_distance = 0;
  size_t decided = 0;
  for (const Decision& decision : list_.steps) {
    Var x = start;
    if (decision.input == Decision::From::embedding) {
      x = gather_rows(embedding, one_index(last_op));
    } else if (decision.input == Decision::From::anchor) {
      x = scale(anchors[static_cast<size_t>(last_index)], 1 / (0.1 + last_distance));
    }
    state = lstm_cell(x, state, lstm);
    if (decision.kind != Decision::Kind::advance) {
      check(decided < arch.choices.size(), "controller", "architecture has only ",
            arch.choices.size(), " choices");
      const int32_t choice = arch.choices[decided++];
      Var logits;
      if (decision.kind == Decision::Kind::index) {
        const auto candidates =
            std::span<const Var>(keys).first(static_cast<size_t>(decision.count));
        const Var attended =
            tanh(add_row(concat_rows(candidates), matmul(state.h, query)));  // [count, h]
        logits = bounded(reshape(matmul(attended, score), {1, decision.count}), decision);
        if (decision.distance_bias != 0)
          logits = add(logits, distance_penalty(decision, dtype).to(device));
        last_index = choice;
        last_distance = decision.count - choice;
      } else {
        logits = bounded(matmul(state.h, slice_rows(embedding, 0, decision.count), Transpose::no,
                                Transpose::yes),
                         decision);
        last_op = choice;
      }
      log_probs.push_back(pick(log_softmax(logits), one_index(choice)));
      if (with_entropy) entropies.push_back(entropy(logits));
    }
    if (decision.leaves_anchor) {
      anchors.push_back(state.h);
      keys.push_back(matmul(state.h, key));
    }
  }
  check(decided == arch.choices.size(), "controller", "architecture has ", arch.choices.size(),
        " choices, the policy decides ", decided);
  return {sum(concat_rows(log_probs)), with_entropy ? sum(concat_rows(entropies)) : Var()};
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
    if (decision.tanh_constant == 0) {
      total.highest += std::log(static_cast<double>(decision.count));
      continue;
    }
    std::vector<double> centres;
    for (int32_t j = 0; j < decision.count; ++j) {
      const double distance = decision.kind == Decision::Kind::index ? decision.count - j : 0;
      centres.push_back(-distance * distance * decision.distance_bias);
    }
    const EntropyBounds one = box_bounds(centres, decision.tanh_constant);
    total.lowest += one.lowest;
    total.highest += one.highest;
  }
  return total;
}

}  // namespace enas
