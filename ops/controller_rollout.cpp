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

namespace {

using Row = std::vector<double>;

// The weights in double, row-major.
struct Policy {
  size_t h;
  Row start, embedding, lstm, key, query, score;
};

// y = x W, W [x, y] from `w` on.
void product(std::span<const double> x, const double* w, std::span<double> y) {
  rollout_product(x.data(), static_cast<int64_t>(x.size()), w, static_cast<int64_t>(y.size()),
                  y.data());
}

double dot(std::span<const double> a, const double* b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// One architecture's way through the decisions.
class Walk {
 public:
  Walk(const Policy& policy, const DecisionList& list)
      : policy_(policy),
        xh_(2 * policy.h),
        c_(policy.h),
        gates_(4 * policy.h),
        query_(policy.h),
        hidden_(policy.h) {
    const size_t most = (static_cast<size_t>(list.zero_anchors) + list.steps.size()) * policy.h;
    anchors_.reserve(most);
    keys_.reserve(most);
    anchors_.resize(static_cast<size_t>(list.zero_anchors) * policy.h);
    keys_.resize(anchors_.size());
  }

  void move(const Decision& decision) {
    take_input(decision.input);
    product(xh_, policy_.lstm.data(), gates_);
    const double *i = gates_.data(), *f = i + policy_.h, *o = f + policy_.h, *g = o + policy_.h;
    for (size_t k = 0; k < policy_.h; ++k) {
      c_[k] = sigmoid(i[k]) * std::tanh(g[k]) + sigmoid(f[k]) * c_[k];
      h()[k] = sigmoid(o[k]) * std::tanh(c_[k]);
    }
  }

  Choice decide(const Decision& decision, double uniform) {
    const bool index = decision.kind == Decision::Kind::index;
    logits_.clear();
    index ? index_logits(decision) : op_logits(decision);
    const Choice choice = cpu::choose(logits_, uniform);
    (index ? index_ : op_) = static_cast<size_t>(choice.action);
    if (index) distance_ = decision.count - choice.action;
    return choice;
  }

  void leave_anchor() {
    anchors_.insert(anchors_.end(), h().begin(), h().end());
    keys_.resize(anchors_.size());
    product(h(), policy_.key.data(), std::span(keys_).last(policy_.h));
  }

 private:
  std::span<double> x() { return std::span(xh_).first(policy_.h); }
  std::span<double> h() { return std::span(xh_).last(policy_.h); }

  void take_input(Decision::From from) {
    const double* row = from == Decision::From::start ? policy_.start.data()
                        : from == Decision::From::embedding
                            ? policy_.embedding.data() + op_ * policy_.h
                            : anchors_.data() + index_ * policy_.h;
    std::copy_n(row, policy_.h, xh_.begin());
    if (from != Decision::From::anchor) return;
    for (double& value : x()) value /= 0.1 + distance_;
  }

  void index_logits(const Decision& decision) {
    product(h(), policy_.query.data(), query_);
    for (int32_t j = 0; j < decision.count; ++j) {
      const double* key = keys_.data() + static_cast<size_t>(j) * policy_.h;
      for (size_t k = 0; k < policy_.h; ++k) hidden_[k] = std::tanh(key[k] + query_[k]);
      const double distance = decision.count - j;
      logits_.push_back(bound(dot(hidden_, policy_.score.data()), decision) -
                        decision.distance_bias * distance * distance);
    }
  }

  void op_logits(const Decision& decision) {
    for (size_t j = 0; j < static_cast<size_t>(decision.count); ++j)
      logits_.push_back(bound(dot(h(), policy_.embedding.data() + j * policy_.h), decision));
  }

  static double bound(double logit, const Decision& decision) {
    logit /= decision.temperature;
    return decision.tanh_constant > 0 ? decision.tanh_constant * std::tanh(logit) : logit;
  }

  const Policy& policy_;
  Row xh_, c_, gates_, query_, hidden_, logits_;  // xh: the input x, then the state h
  Row anchors_, keys_;                            // a row each
  size_t op_ = 0, index_ = 0;
  int32_t distance_ = 0;
};

void check_weights(const ControllerWeights& w) {
  const int64_t h = w.start.numel();
  const auto expect = [&](const Tensor& t, const char* name, const Shape& shape) {
    check(t.defined() && t.shape() == shape && t.dtype() == w.start.dtype(), "controller_rollout",
          name, " must be ", w.start.dtype(), " ", shape, ", got ", t.dtype(), " ", t.shape());
    check(t.device() == w.start.device(), "controller_rollout", name, " is on the ", t.device(),
          ", start on the ", w.start.device());
  };
  expect(w.start, "start", {1, h});
  expect(w.embedding, "embedding", {w.embedding.rank() > 0 ? w.embedding.size(0) : 0, h});
  expect(w.lstm, "lstm", {2 * h, 4 * h});
  expect(w.key, "key", {h, h});
  expect(w.query, "query", {h, h});
  expect(w.score, "score", {h, 1});
}

}  // namespace

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
  const Policy policy{static_cast<size_t>(weights.start.numel()),
                      weights.start.to_vector(),
                      weights.embedding.to_vector(),
                      weights.lstm.to_vector(),
                      weights.key.to_vector(),
                      weights.query.to_vector(),
                      weights.score.to_vector()};
  parallel_for(out.samples, 1, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      Walk walk(policy, list);
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
