// Backward of ops/controller_score.cpp for some of the samples: each array holds a row a sample for
// each of its numbers (ops/controller_plan.h), so that the rows of a step lie together. Internal to
// ops/.
#pragma once
#include <algorithm>
#include <cmath>
#include <span>

#include "ops/choose.h"
#include "ops/controller_score.h"
#include "ops/controller_score_kernels.h"
#include "ops/controller_walk.h"

namespace enas {

// outputs [ops, h]: rows that op decisions multiply h by.
template <class T>
struct ScoreWeights {
  const T *start, *embedding, *lstm, *key, *query, *score, *outputs;
  int64_t h, ops;
};

// The gradients on their way; zero before backward but for dz.
template <class T>
struct ScoreGradients {
  T* dz;         // [T, S, 4h]
  T* projected;  // [anchors that are inputs, S, 4h] of h W, W the LSTM's part of x
  T* keys;       // [keys, S, h]
  T* queries;    // [queries, S, h]
  // Row numbers in `projected` of the anchors that some sample takes as input; -1: none does.
  std::span<const int64_t> inputs;
};

// Sums over samples and steps of one chunk of samples.
template <class T>
struct ScorePartials {
  T* table;    // [1 + ops, 4h] dz of inputs that are start or a row of the embedding
  T* score;    // [h]
  T* outputs;  // [ops, h] of the output matrix, transposed
  T* bias;     // [ops]
};

// One skip with logits -x and x.
struct Skip {
  double log_p[2], p[2], entropy;
  explicit Skip(double x) {
    const double low = std::log1p(std::exp(-2 * std::fabs(x)));  // -log p of the likelier
    log_p[0] = x > 0 ? -low - 2 * x : -low;
    log_p[1] = x > 0 ? -low : -low + 2 * x;
    for (int i = 0; i < 2; ++i) p[i] = std::exp(log_p[i]);
    entropy = -(p[0] * log_p[0] + p[1] * log_p[1]);
  }
};

// KL of the skip and its slope by x.
inline std::pair<double, double> kl_of(const Skip& skip, double x, const SkipPenalty& penalty) {
  const double target[2] = {1 - penalty.target, penalty.target};
  double kl = 0, slope = 0;
  if (penalty.elementwise_sigmoid) {
    for (int i = 0; i < 2; ++i) {
      const double sign = i == 0 ? -1 : 1, p = 1 / (1 + std::exp(-sign * x));
      const double excess = std::log(p) - std::log(target[i]);
      kl += p * excess;
      slope += sign * p * (1 - p) * (excess + 1);
    }
    return {kl, slope};
  }
  for (int i = 0; i < 2; ++i) kl += skip.p[i] * (skip.log_p[i] - std::log(target[i]));
  for (int i = 0; i < 2; ++i) {
    const double excess = skip.log_p[i] - std::log(target[i]);
    slope += (i == 0 ? -1 : 1) * skip.p[i] * (excess - kl);
  }
  return {kl, slope};
}

// Upstream gradients, [S] each.
struct ScoreUpstream {
  std::vector<double> log_prob, entropy, skip_kl;
  SkipPenalty penalty;
};

template <class T>
class ScoreWalk {
  using K = ScoreKernels<T>;
  using Kind = Decision::Kind;
  using Step = ControllerPlan::Step;

 public:
  // Samples [begin, end).
  ScoreWalk(const ControllerTrace& trace, const ScoreWeights<T>& weights, int64_t begin,
            int64_t end)
      : plan_(trace.plan),
        w_(weights),
        s_(trace.state<T>()),
        actions_(trace.actions.data()),
        samples_(trace.samples),
        begin_(begin),
        end_(end) {}

  // scratch [2, rows, h].
  void backward(const ScoreGradients<T>& g, const ScorePartials<T>& sums, T* scratch,
                const ScoreUpstream& up) {
    const int64_t n = w_.h, size = rows() * n;
    T *dh = scratch, *dc = dh + size;
    std::fill_n(dh, 2 * size, T{0});
    for (size_t t = plan_.steps.size(); t-- > 0;) {
      const Step& step = plan_.steps[t];
      const auto at = static_cast<int64_t>(t);
      if (const int64_t input = input_of(g, step.anchor); input >= 0)
        K::product_back(row(g.projected, input, 4 * n), rows(), 4 * n, w_.lstm, n, dh);
      if (step.key >= 0) K::product_back(row(g.keys, step.key, n), rows(), n, w_.key, n, dh);
      for (int64_t s = begin_; s < end_ && step.decision.kind != Kind::advance; ++s)
        decision_back(step, s, row(s_.h, at + 1, n), g, sums, dh, up);
      if (step.query >= 0)
        K::product_back(row(g.queries, step.query, n), rows(), n, w_.query, n, dh);
      T* dz = row(g.dz, at, 4 * n);
      K::lstm_back(row(s_.gates, at, 4 * n), row(s_.c, at, n), row(s_.c, at + 1, n), dh, dc, dz, dc,
                   rows(), n);
      std::fill_n(dh, size, T{0});
      if (t > 0) K::product_back(dz, rows(), 4 * n, w_.lstm + n * 4 * n, n, dh);
      input_back(step, g, sums, dz);
    }
  }

 private:
  int64_t rows() const { return end_ - begin_; }
  // The rows of these samples under number i.
  template <class P>
  P* row(P* array, int64_t i, int64_t width) const {
    return array + (i * samples_ + begin_) * width;
  }
  const int32_t* actions(int64_t s) const { return actions_ + s * plan_.choices; }
  double logit(const Step& step, int64_t s, int64_t j) const {
    return s_.logits[(step.logit + j) * samples_ + s];
  }
  static int64_t input_of(const ScoreGradients<T>& g, int64_t anchor) {
    return anchor < 0 ? -1 : g.inputs[static_cast<size_t>(anchor)];
  }

  // d / d logit j of the upstream-weighted sum of what the decision adds.
  double skip_gradient(const Step& step, int64_t s, int64_t j, const ScoreUpstream& up) const {
    const double x = logit(step, s, j);
    const auto at = static_cast<size_t>(s);
    const Skip skip(x);
    const int a = actions(s)[step.choice + j], sign = a == 0 ? -1 : 1;
    double d = up.log_prob[at] * sign * 2 * skip.p[1 - a];
    for (int i = 0; i < 2; ++i)
      d -= up.entropy[at] * (i == 0 ? -1 : 1) * skip.p[i] * (skip.log_p[i] + skip.entropy);
    if (up.skip_kl[at] == 0) return d;
    return d +
           up.skip_kl[at] * kl_of(skip, x, up.penalty).second / static_cast<double>(plan_.skips);
  }
  // The same of all logits of a decision that is no skip.
  void softmax_gradients(const Step& step, int64_t s, const ScoreUpstream& up) {
    const auto at = static_cast<size_t>(s), count = static_cast<size_t>(step.decision.count);
    Partition p;
    for (size_t j = 0; j < count; ++j) p.see(logit(step, s, static_cast<int64_t>(j)));
    for (size_t j = 0; j < count; ++j) {
      const double distance = logit(step, s, static_cast<int64_t>(j)) - p.top;
      d_logits_[j] = std::exp(distance);
      p.add(d_logits_[j], Partition::term(d_logits_[j], distance));
    }
    const double log_total = std::log(p.total), entropy = log_total - p.weighted_total / p.total;
    const auto taken = static_cast<size_t>(actions(s)[step.choice]);
    for (size_t j = 0; j < count; ++j) {
      const double q = d_logits_[j] / p.total;
      const double log_p = logit(step, s, static_cast<int64_t>(j)) - p.top - log_total;
      d_logits_[j] =
          up.log_prob[at] * ((j == taken ? 1 : 0) - q) - up.entropy[at] * q * (log_p + entropy);
    }
  }

  // h: behind the step.
  void decision_back(const Step& step, int64_t s, const T* h, const ScoreGradients<T>& g,
                     const ScorePartials<T>& sums, T* dh, const ScoreUpstream& up) {
    const Decision& d = step.decision;
    const int64_t n = w_.h;
    d_logits_.resize(static_cast<size_t>(d.count));
    if (d.kind != Kind::skips) softmax_gradients(step, s, up);
    for (int64_t j = 0; j < d.count; ++j) {
      const double d_logit =
          d.kind == Kind::skips ? skip_gradient(step, s, j, up) : d_logits_[static_cast<size_t>(j)];
      const T slope = static_cast<T>(d_logit * s_.slopes[(step.logit + j) * samples_ + s]);
      if (d.kind == Kind::op) {
        K::axpy(slope, w_.outputs + j * n, dh + (s - begin_) * n, n);
        K::axpy(slope, h + (s - begin_) * n, sums.outputs + j * n, n);
        sums.bias[j] += slope;
        continue;
      }
      const int64_t key = plan_.anchors[static_cast<size_t>(d.first_anchor + j)].key;
      K::attention_back(s_.attended + ((step.attended + j) * samples_ + s) * n, w_.score, slope,
                        key < 0 ? nullptr : g.keys + (key * samples_ + s) * n,
                        g.queries + (step.query * samples_ + s) * n, sums.score, n);
    }
  }

  void input_back(const Step& step, const ScoreGradients<T>& g, const ScorePartials<T>& sums,
                  const T* dz) const {
    const int64_t n = 4 * w_.h;
    for (int64_t s = begin_; s < end_; ++s, dz += n) {
      if (!step.from_anchors) {
        K::axpy(T{1}, dz, sums.table + plan_.table_row(step, actions(s)) * n, n);
        continue;
      }
      plan_.each_anchor(step, actions(s), [&](int64_t anchor, double factor) {
        K::axpy(static_cast<T>(factor), dz, g.projected + (input_of(g, anchor) * samples_ + s) * n,
                n);
      });
    }
  }

  const ControllerPlan& plan_;
  const ScoreWeights<T>& w_;
  WalkState<T> s_;
  const int32_t* actions_;
  int64_t samples_, begin_, end_;
  std::vector<double> d_logits_;  // of one decision
};

}  // namespace enas
