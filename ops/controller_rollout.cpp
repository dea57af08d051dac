#include "ops/controller_rollout.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "ops/sample.h"
#include "tensor/isa.h"
#include "tensor/thread_pool.h"

namespace enas {

ISA_SELECT(rollout_product,
           void(const double* x, int64_t n, const double* w, int64_t columns, double* y));
ISA_SELECT(rollout_widen, void(const float* x, double* y, int64_t n));
ISA_SELECT(rollout_gates, void(const double* z, double* c, double* h, int64_t n));
ISA_SELECT(rollout_attention,
           double(const double* key, const double* query, const double* v, int64_t n));
ISA_SELECT(rollout_dot, double(const double* a, const double* b, int64_t n));

namespace {

using Row = std::vector<double>;

// y += x W.
void add_product(const double* x, size_t n, const double* w, size_t columns, double* y) {
  rollout_product(x, static_cast<int64_t>(n), w, static_cast<int64_t>(columns), y);
}

Tensor widened(const Tensor& t) {
  if (t.dtype() == DType::f64) return t;
  Tensor wide(t.shape(), DType::f64);
  // By one thread: what another wrote would come from its cache.
  rollout_widen(t.data<float>(), wide.data<double>(), t.numel());
  return wide;
}

// The weights in double.
struct Policy {
  size_t h, ops;
  Tensor lstm, key, query;
  Row score, output, bias;  // output [ops, h]
  // Rows that inputs are taken from, start, then the embedding, each behind the LSTM's product.
  Row table;  // [1 + ops, 4h]

  explicit Policy(const ControllerWeights& w)
      : h(static_cast<size_t>(w.start.numel())),
        ops(static_cast<size_t>(w.embedding.size(0))),
        lstm(widened(w.lstm)),
        key(widened(w.key)),
        query(widened(w.query)),
        score(w.score.to_vector()),
        output(w.embedding.to_vector()),
        table((1 + ops) * 4 * h) {
    const Row start = w.start.to_vector();
    add_product(start.data(), h, upper(), 4 * h, table.data());
    for (size_t op = 0; op < ops; ++op)
      add_product(output.data() + op * h, h, upper(), 4 * h, table.data() + (1 + op) * 4 * h);
    if (w.bias.defined()) bias = w.bias.to_vector();
    if (!w.output.defined()) return;
    const Row matrix = w.output.to_vector();
    for (size_t op = 0; op < ops; ++op)
      for (size_t k = 0; k < h; ++k) output[op * h + k] = matrix[k * ops + op];
  }
  // The LSTM's weight: the parts of x and of h.
  const double* upper() const { return lstm.data<double>(); }
  const double* lower() const { return upper() + h * 4 * h; }
};

// One architecture's way through the decisions.
class Walk {
 public:
  Walk(const Policy& policy, const DecisionList& list)
      : policy_(policy),
        x_(policy.h),
        h_(policy.h),
        c_(policy.h),
        gates_(4 * policy.h),
        query_(policy.h) {
    const size_t most = (static_cast<size_t>(list.zero_anchors) + list.steps.size()) * policy.h;
    anchors_.reserve(most);
    keys_.reserve(most);
    anchors_.resize(static_cast<size_t>(list.zero_anchors) * policy.h);
    keys_.resize(anchors_.size());
  }

  void move(const Decision& decision) {
    const size_t h = policy_.h;
    take_input(decision.input);
    if (moved_) add_product(h_.data(), h, policy_.lower(), 4 * h, gates_.data());  // else h is zero
    moved_ = true;
    rollout_gates(gates_.data(), c_.data(), h_.data(), static_cast<int64_t>(h));
  }

  // Choice number `at` of the step.
  Choice decide(const Decision& decision, int64_t at, double uniform) {
    logits_.clear();
    if (decision.kind == Decision::Kind::skips) return decide_skip(decision, at, uniform);
    const bool index = decision.kind == Decision::Kind::index;
    index ? index_logits(decision) : op_logits(decision);
    const Choice choice = cpu::choose(logits_, uniform);
    const auto action = static_cast<size_t>(choice.action);
    if (!index) {
      op_ = action;
    } else {
      index_ = static_cast<size_t>(decision.first_anchor) + action;
      distance_ = decision.count - choice.action;
    }
    return choice;
  }

  void leave_anchor(bool zero) {
    anchors_.insert(anchors_.end(), h_.begin(), h_.end());
    keys_.resize(anchors_.size());
    add_product(h_.data(), policy_.h, policy_.key.data<double>(), policy_.h,
                keys_.data() + keys_.size() - policy_.h);
    if (zero) std::fill(anchors_.end() - static_cast<ptrdiff_t>(policy_.h), anchors_.end(), 0.0);
  }

 private:
  // gates = x W, W the upper half of the LSTM's weight.
  void take_input(Decision::From from) {
    using From = Decision::From;
    const size_t h = policy_.h;
    if (from == From::start || from == From::embedding) {
      const size_t row = from == From::start ? 0 : 1 + op_;
      std::copy_n(policy_.table.data() + row * 4 * h, 4 * h, gates_.begin());
      return;
    }
    const double divisor = from == From::anchor  ? 0.1 + distance_
                           : from == From::skips ? 1.0 + skip_count_
                                                 : 1;
    const double* row = from == From::skips ? skipped_.data() : anchors_.data() + index_ * h;
    for (size_t k = 0; k < h; ++k) x_[k] = row[k] / divisor;
    std::fill(gates_.begin(), gates_.end(), 0.0);
    add_product(x_.data(), h, policy_.upper(), 4 * h, gates_.data());
  }

  void make_query() {
    std::fill(query_.begin(), query_.end(), 0.0);
    add_product(h_.data(), policy_.h, policy_.query.data<double>(), policy_.h, query_.data());
  }

  // v . tanh(key + h W2) of an anchor.
  double attention(size_t anchor) const {
    return rollout_attention(keys_.data() + anchor * policy_.h, query_.data(), policy_.score.data(),
                             static_cast<int64_t>(policy_.h));
  }

  Choice decide_skip(const Decision& decision, int64_t at, double uniform) {
    if (at == 0) {
      make_query();
      skipped_.assign(policy_.h, 0);
      skip_count_ = 0;
    }
    const auto anchor = static_cast<size_t>(decision.first_anchor + at);
    const double logit = bound(attention(anchor), decision);
    logits_ = {-logit, logit};
    const Choice choice = cpu::choose(logits_, uniform);
    if (choice.action == 1) {
      ++skip_count_;
      const double* row = anchors_.data() + anchor * policy_.h;
      for (size_t k = 0; k < policy_.h; ++k) skipped_[k] += row[k];
    }
    return choice;
  }

  void index_logits(const Decision& decision) {
    make_query();
    for (int32_t j = 0; j < decision.count; ++j) {
      const double distance = decision.count - j;
      logits_.push_back(bound(attention(static_cast<size_t>(decision.first_anchor + j)), decision) -
                        decision.distance_bias * distance * distance);
    }
  }

  void op_logits(const Decision& decision) {
    for (size_t j = 0; j < static_cast<size_t>(decision.count); ++j) {
      double logit = rollout_dot(h_.data(), policy_.output.data() + j * policy_.h,
                                 static_cast<int64_t>(policy_.h));
      if (!policy_.bias.empty()) logit += policy_.bias[j];
      logits_.push_back(bound(logit, decision));
      if (decision.op_bias == 0) continue;
      const bool favoured = static_cast<int32_t>(j) < decision.favoured;
      logits_.back() += favoured ? decision.op_bias : -decision.op_bias;
    }
  }

  static double bound(double logit, const Decision& decision) {
    logit /= decision.temperature;
    return decision.tanh_constant > 0 ? decision.tanh_constant * std::tanh(logit) : logit;
  }

  const Policy& policy_;
  Row x_, h_, c_, gates_, query_, logits_;
  Row anchors_, keys_;  // a row each
  Row skipped_;         // the sum of the anchors chosen by `skips`
  bool moved_ = false;
  size_t op_ = 0, index_ = 0;
  int32_t distance_ = 0, skip_count_ = 0;
};

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
                           int64_t samples, const Random& random, int64_t first_sample) {
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
  cpu::controller_rollout(weights, list, random, first_sample, out);
  return out;
}

void cpu::controller_rollout(const ControllerWeights& weights, const DecisionList& list,
                             const Random& random, int64_t first_sample, Rollout& out) {
  const Policy policy(weights);
  parallel_for(out.samples, 1, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      Walk walk(policy, list);
      int32_t* action = out.actions.data() + s * out.decisions;
      auto draw = static_cast<uint64_t>((first_sample + s) * out.decisions);
      for (const Decision& decision : list.steps) {
        walk.move(decision);
        for (int64_t at = 0; at < choices_of(decision); ++at) {
          const Choice choice = walk.decide(decision, at, random.uniform53(draw++));
          *action++ = choice.action;
          out.log_prob[static_cast<size_t>(s)] += choice.log_prob;
          out.entropy[static_cast<size_t>(s)] += choice.entropy;
          out.sampled_entropy[static_cast<size_t>(s)] -=
              std::exp(choice.log_prob) * choice.log_prob;
        }
        if (decision.leaves_anchor) walk.leave_anchor(decision.zero_anchor);
      }
    }
  });
}

}  // namespace enas
