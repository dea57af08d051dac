#include "ops/controller_rollout.h"

#include "ops/controller_walk.h"

namespace enas {
namespace {

void check_weights(const char* op, const ControllerWeights& w, const DecisionList& list) {
  const int64_t h = w.start.numel(), ops = w.embedding.rank() > 0 ? w.embedding.size(0) : 0;
  const auto expect = [&](const Tensor& t, const char* name, const Shape& shape) {
    check(t.defined() && t.shape() == shape && t.dtype() == w.start.dtype(), op, name, " must be ",
          w.start.dtype(), " ", shape, ", got ", t.dtype(), " ", t.shape());
    check(t.device() == w.start.device(), op, name, " is on the ", t.device(), ", start on the ",
          w.start.device());
  };
  expect(w.start, "start", {1, h});
  expect(w.embedding, "embedding", {ops, h});
  expect(w.lstm, "lstm", {2 * h, 4 * h});
  expect(w.key, "key", {h, h});
  expect(w.query, "query", {h, h});
  expect(w.score, "score", {h, 1});
  if (list.op_matrix) expect(w.output, "output", {h, ops});
  if (!list.start_bias.empty()) expect(w.bias, "bias", {1, ops});
  check(list.op_matrix == w.output.defined() && list.start_bias.empty() != w.bias.defined(), op,
        "weights have an output matrix or bias that the list has not");
}

}  // namespace

std::vector<double> offsets_of(const Decision& decision) {
  std::vector<double> offsets;
  for (int32_t j = 0; j < decision.count; ++j) {
    const double distance = decision.count - j;
    if (decision.kind == Decision::Kind::index && decision.distance_bias != 0)
      offsets.push_back(-distance * distance * decision.distance_bias);
    if (decision.kind == Decision::Kind::op && decision.op_bias != 0)
      offsets.push_back(j < decision.favoured ? decision.op_bias : -decision.op_bias);
  }
  return offsets;
}

std::vector<int32_t> choice_counts(const DecisionList& list) {
  std::vector<int32_t> counts;
  for (const Decision& d : list.steps) {
    const bool bits = d.kind == Decision::Kind::skips;
    counts.insert(counts.end(), static_cast<size_t>(choices_of(d)), bits ? 2 : d.count);
  }
  return counts;
}

namespace {

// Returns the number of decisions. Refuses a list that reads what no earlier step made.
int64_t check_list(const char* op, const DecisionList& list, int64_t ops) {
  using Kind = Decision::Kind;
  int64_t decisions = 0, anchors = list.zero_anchors;
  bool has_op = false, has_index = false, has_skips = false;
  for (size_t s = 0; s < list.steps.size(); ++s) {
    const Decision& d = list.steps[s];
    const bool made = d.input == Decision::From::start       ? true
                      : d.input == Decision::From::embedding ? has_op
                      : d.input == Decision::From::skips     ? has_skips
                                                             : has_index;
    check(made, op, "step ", s, " takes an input that no earlier step decided");
    if (d.kind != Kind::advance) {
      const bool is_op = d.kind == Kind::op;
      const int64_t most = is_op ? ops : anchors - d.first_anchor;
      check(d.first_anchor >= 0 && d.count >= 1 && d.count <= most, op, "step ", s,
            " chooses among ", d.count, " of ", most, is_op ? " operations" : " anchors");
      check(!is_op || !list.op_matrix || d.count == ops, op, "step ", s, " chooses among ", d.count,
            " operations, the output matrix has ", ops);
      check(d.temperature > 0, op, "step ", s, " has temperature ", d.temperature,
            "; it must be positive");
      (is_op ? has_op : d.kind == Kind::index ? has_index : has_skips) = true;
      decisions += choices_of(d);
    }
    anchors += d.leaves_anchor;
  }
  return decisions;
}

}  // namespace

int64_t check_controller(const char* op, const ControllerWeights& weights,
                         const DecisionList& list) {
  check_weights(op, weights, list);
  return check_list(op, list, weights.embedding.size(0));
}

Rollout controller_rollout(const ControllerWeights& weights, const DecisionList& list,
                           int64_t samples, const Random& random, int64_t first_sample,
                           Trace trace) {
  const int64_t decisions = check_controller("controller_rollout", weights, list);
  check(samples >= 0 && first_sample >= 0, "controller_rollout", "got ", samples,
        " samples from number ", first_sample, " on");
  Rollout out;
  out.samples = samples;
  out.decisions = decisions;
  out.actions.resize(static_cast<size_t>(samples * out.decisions));
  out.log_prob.resize(static_cast<size_t>(samples));
  out.entropy.resize(static_cast<size_t>(samples));
  out.sampled_entropy.resize(static_cast<size_t>(samples));
  if constexpr (kWithCuda) {
    if (weights.start.device() == Device::cuda) {
      cuda::controller_rollout(weights, list, random, first_sample, out);
      return out;
    }
  }
  cpu::controller_rollout(weights, list, random, first_sample, trace, out);
  return out;
}

void cpu::controller_rollout(const ControllerWeights& weights, const DecisionList& list,
                             const Random& random, int64_t first_sample, Trace trace,
                             Rollout& out) {
  if (trace == Trace::kept) {
    out.trace = controller_trace(weights, list, &random, first_sample, out);
  } else {
    controller_walk(weights, list, &random, first_sample, out);
  }
}

}  // namespace enas
