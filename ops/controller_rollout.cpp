#include "ops/controller_rollout.h"

#include <cmath>
#include <span>

#include "ops/sample.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

using Row = std::vector<double>;

// The weights in double, row-major.
struct Policy {
  size_t h;
  Row start, embedding, lstm, key, query, score;
};

// y += x W, W [x, y] from `w` on.
void add_product(const Row& x, const double* w, Row& y) {
  for (const double factor : x) {
    for (double& out : y) out += factor * *w++;
  }
}

double dot(const Row& a, const double* b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// One architecture's way through the decisions.
class Walk {
 public:
  Walk(const Policy& policy, int32_t zero_anchors)
      : policy_(policy),
        h_(policy.h),
        c_(policy.h),
        anchors_(static_cast<size_t>(zero_anchors), h_),
        keys_(anchors_) {}

  void move(const Decision& decision) {
    const Row x = input(decision.input);
    Row z(4 * policy_.h);
    add_product(x, policy_.lstm.data(), z);
    add_product(h_, policy_.lstm.data() + policy_.h * z.size(), z);
    const double *i = z.data(), *f = i + policy_.h, *o = f + policy_.h, *g = o + policy_.h;
    for (size_t k = 0; k < policy_.h; ++k) {
      c_[k] = sigmoid(i[k]) * std::tanh(g[k]) + sigmoid(f[k]) * c_[k];
      h_[k] = sigmoid(o[k]) * std::tanh(c_[k]);
    }
  }

  cpu::Choice decide(const Decision& decision, double uniform) {
    const Row logits =
        decision.kind == Decision::Kind::index ? index_logits(decision) : op_logits(decision);
    const cpu::Choice choice = cpu::choose(logits, uniform);
    if (decision.kind == Decision::Kind::index) {
      index_ = choice.action;
      distance_ = decision.count - choice.action;
    } else {
      op_ = choice.action;
    }
    return choice;
  }

  void leave_anchor() {
    anchors_.push_back(h_);
    keys_.emplace_back(policy_.h);
    add_product(h_, policy_.key.data(), keys_.back());
  }

 private:
  Row input(Decision::From from) const {
    if (from == Decision::From::start) return policy_.start;
    if (from == Decision::From::embedding) {
      const double* row = policy_.embedding.data() + static_cast<size_t>(op_) * policy_.h;
      return Row(row, row + policy_.h);
    }
    Row x = anchors_[static_cast<size_t>(index_)];
    for (double& value : x) value /= 0.1 + distance_;
    return x;
  }

  Row index_logits(const Decision& decision) const {
    Row query(policy_.h), logits;
    add_product(h_, policy_.query.data(), query);
    for (int32_t j = 0; j < decision.count; ++j) {
      Row hidden = keys_[static_cast<size_t>(j)];
      for (size_t k = 0; k < hidden.size(); ++k) hidden[k] = std::tanh(hidden[k] + query[k]);
      const double distance = decision.count - j;
      logits.push_back(bound(dot(hidden, policy_.score.data()), decision) -
                       decision.distance_bias * distance * distance);
    }
    return logits;
  }

  Row op_logits(const Decision& decision) const {
    Row logits;
    for (size_t j = 0; j < static_cast<size_t>(decision.count); ++j)
      logits.push_back(bound(dot(h_, policy_.embedding.data() + j * policy_.h), decision));
    return logits;
  }

  static double bound(double logit, const Decision& decision) {
    logit /= decision.temperature;
    return decision.tanh_constant > 0 ? decision.tanh_constant * std::tanh(logit) : logit;
  }

  const Policy& policy_;
  Row h_, c_;
  std::vector<Row> anchors_, keys_;
  int32_t op_ = -1, index_ = -1, distance_ = 0;
};

void check_weights(const ControllerWeights& w) {
  const int64_t h = w.start.numel();
  const auto expect = [&](const Tensor& t, const char* name, const Shape& shape) {
    check(t.defined() && t.shape() == shape && t.dtype() == w.start.dtype(), "controller_rollout",
          name, " must be ", w.start.dtype(), " ", shape, ", got ", t.dtype(), " ", t.shape());
    check(t.device() == Device::cpu, ErrorKind::device, "controller_rollout",
          "has no CUDA kernel; run this op with --device cpu");
  };
  expect(w.start, "start", {1, h});
  expect(w.embedding, "embedding", {w.embedding.rank() > 0 ? w.embedding.size(0) : 0, h});
  expect(w.lstm, "lstm", {2 * h, 4 * h});
  expect(w.key, "key", {h, h});
  expect(w.query, "query", {h, h});
  expect(w.score, "score", {h, 1});
}

// Returns the number of decisions. Refuses a list that reads what no earlier step made.
int64_t check_list(const DecisionList& list, int64_t ops) {
  int64_t decisions = 0, anchors = list.zero_anchors;
  bool has_op = false, has_index = false;
  for (size_t s = 0; s < list.steps.size(); ++s) {
    const Decision& d = list.steps[s];
    const bool made = d.input == Decision::From::embedding ? has_op
                      : d.input == Decision::From::anchor  ? has_index
                                                           : true;
    check(made, "controller_rollout", "step ", s, " takes an input that no earlier step decided");
    if (d.kind != Decision::Kind::advance) {
      const bool index = d.kind == Decision::Kind::index;
      const int64_t most = index ? anchors : ops;
      check(d.count >= 1 && d.count <= most, "controller_rollout", "step ", s, " chooses among ",
            d.count, " of ", most, index ? " anchors" : " operations");
      check(d.temperature > 0, "controller_rollout", "step ", s, " has temperature ", d.temperature,
            "; it must be positive");
      (index ? has_index : has_op) = true;
      ++decisions;
    }
    anchors += d.leaves_anchor;
  }
  return decisions;
}

}  // namespace

Rollout controller_rollout(const ControllerWeights& weights, const DecisionList& list,
                           int64_t samples, const Random& random, int64_t first_sample) {
  check_weights(weights);
  check(samples >= 0 && first_sample >= 0, "controller_rollout", "got ", samples,
        " samples from number ", first_sample, " on");
  Rollout out;
  out.samples = samples;
  out.decisions = check_list(list, weights.embedding.size(0));
  out.actions.resize(static_cast<size_t>(samples * out.decisions));
  out.log_prob.resize(static_cast<size_t>(samples));
  out.entropy.resize(static_cast<size_t>(samples));
  out.sampled_entropy.resize(static_cast<size_t>(samples));
  cpu::controller_rollout(weights, list, random, first_sample, out);
  return out;
}

void cpu::controller_rollout(const ControllerWeights& weights, const DecisionList& list,
                             const Random& random, int64_t first_sample, Rollout& out) {
  const Policy policy{static_cast<size_t>(weights.start.numel()),
                      weights.start.to_vector(),
                      weights.embedding.to_vector(),
                      weights.lstm.to_vector(),
                      weights.key.to_vector(),
                      weights.query.to_vector(),
                      weights.score.to_vector()};
  parallel_for(out.samples, 1, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      Walk walk(policy, list.zero_anchors);
      int32_t* action = out.actions.data() + s * out.decisions;
      auto draw = static_cast<uint64_t>((first_sample + s) * out.decisions);
      for (const Decision& decision : list.steps) {
        walk.move(decision);
        if (decision.kind != Decision::Kind::advance) {
          const Choice choice = walk.decide(decision, random.uniform53(draw++));
          *action++ = choice.action;
          out.log_prob[static_cast<size_t>(s)] += choice.log_prob;
          out.entropy[static_cast<size_t>(s)] += choice.entropy;
          out.sampled_entropy[static_cast<size_t>(s)] -=
              std::exp(choice.log_prob) * choice.log_prob;
        }
        if (decision.leaves_anchor) walk.leave_anchor();
      }
    }
  });
}

}  // namespace enas
