// Forward and backward of ops/controller_score.cpp for some of the samples: each array holds a row
// a sample for each of its numbers (ops/controller_plan.h), so that the rows of a step lie
// together. Internal to ops/.
#pragma once
#include <algorithm>
#include <cmath>
#include <span>

#include "ops/choose.h"
#include "ops/controller_plan.h"
#include "ops/controller_score.h"
#include "ops/controller_score_kernels.h"

namespace enas {

template <class T>
struct ScoreWeights {
  const T *start, *embedding, *lstm, *key, *query, *score, *output, *bias;  // the last two or null
  int64_t h, ops;
};

// What forward leaves for backward; S samples, T steps.
template <class T>
struct ScoreState {
  int64_t samples;
  T *h, *c;        // [T + 1, S, h], the first zero
  T* gates;        // [T, S, 4h]
  T* inputs;       // [inputs, S, h]
  T* keys;         // [keys, S, h]
  T* attended;     // [attended, S, h] tanh(key + query)
  double* logits;  // [logits, S]
  double* slopes;  // [logits, S] d logit / d (product before the bound)
};

// The gradients on their way; zero before backward but for dz.
template <class T>
struct ScoreGradients {
  T* dz;        // [T, S, 4h]
  T* dz_input;  // [inputs, S, 4h], a copy
  T* anchors;   // [anchors, S, h]
  T* keys;      // [keys, S, h]
  T* queries;   // [queries, S, h]
};

// Sums over samples and steps of one chunk of samples.
template <class T>
struct ScorePartials {
  T* table;    // [1 + ops, 4h] dz of inputs that are start or a row of the embedding
  T* score;    // [h]
  T* outputs;  // [ops, h] of the output matrix, transposed
  T* bias;     // [ops]
};

template <class T>
class ScoreWalk {
  using K = ScoreKernels<T>;
  using Kind = Decision::Kind;
  using From = Decision::From;

 public:
  // Samples [begin, end). table [1 + ops, 4h]: start and embedding behind the LSTM's product.
  // outputs [ops, h]: rows that op decisions multiply h by.
  ScoreWalk(const ControllerPlan& plan, const ScoreWeights<T>& weights, const T* table,
            const T* outputs, const ScoreState<T>& state, const int32_t* actions, int64_t begin,
            int64_t end)
      : plan_(plan),
        w_(weights),
        table_(table),
        outputs_(outputs),
        s_(state),
        actions_(actions),
        begin_(begin),
        end_(end) {}

  // scratch [rows, h].
  void forward(T* scratch, double* log_prob, double* entropy, double* skip_kl,
               const SkipPenalty& penalty) {
    for (size_t t = 0; t < plan_.steps.size(); ++t) {
      const ControllerPlan::Step& step = plan_.steps[t];
      T* z = row(s_.gates, at(t), 4 * w_.h);
      make_input(step, t, z);
      if (t > 0) K::product(h(t), rows(), w_.h, lower(), 4 * w_.h, z);
      K::lstm(row(s_.c, at(t), w_.h), z, h(t + 1), row(s_.c, at(t + 1), w_.h), rows(), w_.h);
      if (step.query >= 0) attend(step, h(t + 1), scratch);
      if (step.decision.kind == Kind::op) op_logits(step, h(t + 1));
      for (int64_t s = begin_; s < end_; ++s) {
        if (step.decision.kind == Kind::skips) {
          skip_values(step, s, log_prob[s], entropy[s], skip_kl[s], penalty);
        } else if (step.decision.kind != Kind::advance) {
          const Partition p = partition_of(step, s);
          const Choice choice = p.choice(action(step, s), logit(step, s, action(step, s)));
          log_prob[s] += choice.log_prob;
          entropy[s] += choice.entropy;
        }
      }
      if (step.key < 0) continue;
      T* key = row(s_.keys, step.key, w_.h);
      std::fill_n(key, rows() * w_.h, T{0});
      K::product(h(t + 1), rows(), w_.h, w_.key, w_.h, key);
    }
  }

  // d_*: upstream gradients [S]. scratch [3, rows, h].
  void backward(const ScoreGradients<T>& g, const ScorePartials<T>& sums, T* scratch,
                std::span<const double> d_log_prob, std::span<const double> d_entropy,
                std::span<const double> d_kl, const SkipPenalty& penalty) {
    const int64_t size = rows() * w_.h;
    T *dh = scratch, *dc = dh + size, *dx = dc + size;
    std::fill_n(dh, 2 * size, T{0});
    for (size_t t = plan_.steps.size(); t-- > 0;) {
      const ControllerPlan::Step& step = plan_.steps[t];
      if (step.anchor >= 0 && !step.decision.zero_anchor)
        K::axpy(T{1}, row(g.anchors, step.anchor, w_.h), dh, size);
      if (step.key >= 0)
        K::product_back(row(g.keys, step.key, w_.h), rows(), w_.h, w_.key, w_.h, dh);
      for (int64_t s = begin_; s < end_; ++s) {
        decision_back(step, s, t, g, sums, dh, d_log_prob[at_sample(s)], d_entropy[at_sample(s)],
                      d_kl[at_sample(s)], penalty);
      }
      if (step.query >= 0)
        K::product_back(row(g.queries, step.query, w_.h), rows(), w_.h, w_.query, w_.h, dh);
      T* dz = row(g.dz, at(t), 4 * w_.h);
      K::lstm_back(row(s_.gates, at(t), 4 * w_.h), row(s_.c, at(t), w_.h),
                   row(s_.c, at(t + 1), w_.h), dh, dc, dz, dc, rows(), w_.h);
      std::fill_n(dh, size, T{0});
      if (t > 0) K::product_back(dz, rows(), 4 * w_.h, lower(), w_.h, dh);
      input_back(step, t, g, sums, dz, dx);
    }
  }

 private:
  static int64_t at(size_t step) { return static_cast<int64_t>(step); }
  static size_t at_sample(int64_t s) { return static_cast<size_t>(s); }
  int64_t rows() const { return end_ - begin_; }
  // The rows of these samples under number i.
  template <class P>
  P* row(P* array, int64_t i, int64_t width) const {
    return array + (i * s_.samples + begin_) * width;
  }
  T* h(size_t step) const { return row(s_.h, at(step), w_.h); }
  const T* lower() const { return w_.lstm + w_.h * 4 * w_.h; }  // of the weight: the part of h
  int32_t action(const ControllerPlan::Step& step, int64_t s, int64_t i = 0) const {
    return actions_[s * plan_.choices + step.choice + i];
  }
  double& logit(const ControllerPlan::Step& step, int64_t s, int64_t j) const {
    return s_.logits[(step.logit + j) * s_.samples + s];
  }

  // Calls f(anchor, factor) for the anchors whose sum is the input of step t for sample s.
  template <class F>
  void each_anchor(size_t t, int64_t s, F f) const {
    const From from = plan_.steps[t].decision.input;
    const Kind kind = from == From::skips ? Kind::skips : Kind::index;
    while (plan_.steps[t - 1].decision.kind != kind) --t;
    const ControllerPlan::Step& chose = plan_.steps[t - 1];
    const Decision& d = chose.decision;
    if (kind == Kind::index) {
      const int32_t j = action(chose, s);
      f(d.first_anchor + j, from == From::anchor ? 1 / (0.1 + (d.count - j)) : 1.0);
      return;
    }
    int64_t chosen = 0;
    for (int64_t j = 0; j < d.count; ++j) chosen += action(chose, s, j);
    for (int64_t j = 0; j < d.count; ++j)
      if (action(chose, s, j) == 1) f(d.first_anchor + j, 1 / (1.0 + static_cast<double>(chosen)));
  }

  // The row of the table that is the input of step t.
  int64_t table_row(size_t t, int64_t s) const {
    if (plan_.steps[t].decision.input == From::start) return 0;
    while (plan_.steps[t - 1].decision.kind != Kind::op) --t;
    return 1 + action(plan_.steps[t - 1], s);
  }

  // z = x W.
  void make_input(const ControllerPlan::Step& step, size_t t, T* z) const {
    const int64_t n = w_.h;
    if (step.input < 0) {
      for (int64_t s = begin_; s < end_; ++s)
        std::copy_n(table_ + table_row(t, s) * 4 * n, 4 * n, z + (s - begin_) * 4 * n);
      return;
    }
    T* x = row(s_.inputs, step.input, n);
    std::fill_n(x, rows() * n, T{0});
    std::fill_n(z, rows() * 4 * n, T{0});
    for (int64_t s = begin_; s < end_; ++s) {
      each_anchor(t, s, [&](int64_t anchor, double factor) {
        const int64_t from = plan_.anchors[static_cast<size_t>(anchor)].step;
        if (from < 0) return;
        const T* vector = s_.h + ((from + 1) * s_.samples + s) * n;
        K::axpy(static_cast<T>(factor), vector, x + (s - begin_) * n, n);
      });
    }
    K::product(x, rows(), n, w_.lstm, 4 * n, z);
  }

  // Bounds and keeps a logit, with its slope.
  void keep(const ControllerPlan::Step& step, int64_t s, int64_t j, double product,
            double offset) const {
    const Decision& d = step.decision;
    double value = product / d.temperature, slope = 1 / d.temperature;
    if (d.tanh_constant > 0) {
      const double bounded = std::tanh(value);
      value = d.tanh_constant * bounded;
      slope *= d.tanh_constant * (1 - bounded * bounded);
    }
    logit(step, s, j) = value + offset;
    s_.slopes[(step.logit + j) * s_.samples + s] = slope;
  }

  void attend(const ControllerPlan::Step& step, const T* h, T* query) const {
    const Decision& d = step.decision;
    const int64_t n = w_.h;
    std::fill_n(query, rows() * n, T{0});
    K::product(h, rows(), n, w_.query, n, query);
    for (int64_t j = 0; j < d.count; ++j) {
      const int64_t key = plan_.anchors[static_cast<size_t>(d.first_anchor + j)].key;
      const double distance = static_cast<double>(d.count - j);
      const double offset = d.kind == Kind::index ? -d.distance_bias * distance * distance : 0;
      for (int64_t s = begin_; s < end_; ++s) {
        const T* k = key < 0 ? nullptr : s_.keys + (key * s_.samples + s) * n;
        T* t = s_.attended + ((step.attended + j) * s_.samples + s) * n;
        const T product = K::attention(k, query + (s - begin_) * n, w_.score, t, n);
        keep(step, s, j, static_cast<double>(product), offset);
      }
    }
  }

  void op_logits(const ControllerPlan::Step& step, const T* h) const {
    const Decision& d = step.decision;
    for (int64_t j = 0; j < d.count; ++j) {
      const double bias = w_.bias != nullptr ? static_cast<double>(w_.bias[j]) : 0;
      const double offset = j < d.favoured ? d.op_bias : -d.op_bias;
      for (int64_t s = begin_; s < end_; ++s) {
        const T product = K::dot(h + (s - begin_) * w_.h, outputs_ + j * w_.h, w_.h);
        keep(step, s, j, static_cast<double>(product) + bias, offset);
      }
    }
  }

  Partition partition_of(const ControllerPlan::Step& step, int64_t s) const {
    Partition p;
    for (int64_t j = 0; j < step.decision.count; ++j) p.see(logit(step, s, j));
    for (int64_t j = 0; j < step.decision.count; ++j) {
      const double distance = logit(step, s, j) - p.top, weight = std::exp(distance);
      p.add(weight, Partition::term(weight, distance));
    }
    return p;
  }

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
  static std::pair<double, double> kl_of(const Skip& skip, double x, const SkipPenalty& penalty) {
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

  void skip_values(const ControllerPlan::Step& step, int64_t s, double& log_prob, double& entropy,
                   double& skip_kl, const SkipPenalty& penalty) const {
    for (int64_t j = 0; j < step.decision.count; ++j) {
      const double x = logit(step, s, j);
      const Skip skip(x);
      log_prob += skip.log_p[action(step, s, j)];
      entropy += skip.entropy;
      skip_kl += kl_of(skip, x, penalty).first / static_cast<double>(plan_.skips);
    }
  }

  // d / d logit j of the upstream-weighted sum of what decision `step` adds.
  double logit_gradient(const ControllerPlan::Step& step, int64_t s, int64_t j, const Partition& p,
                        double up_log_prob, double up_entropy, double up_kl,
                        const SkipPenalty& penalty) const {
    const double x = logit(step, s, j);
    if (step.decision.kind == Kind::skips) {
      const Skip skip(x);
      const int a = action(step, s, j), sign = a == 0 ? -1 : 1;
      double d = up_log_prob * sign * 2 * skip.p[1 - a];
      for (int i = 0; i < 2; ++i)
        d -= up_entropy * (i == 0 ? -1 : 1) * skip.p[i] * (skip.log_p[i] + skip.entropy);
      return d + up_kl * kl_of(skip, x, penalty).second / static_cast<double>(plan_.skips);
    }
    const double log_total = std::log(p.total), log_p = x - p.top - log_total, q = std::exp(log_p);
    const double entropy = log_total - p.weighted_total / p.total;
    const double taken = j == action(step, s) ? 1 : 0;
    return up_log_prob * (taken - q) - up_entropy * q * (log_p + entropy);
  }

  void decision_back(const ControllerPlan::Step& step, int64_t s, size_t t,
                     const ScoreGradients<T>& g, const ScorePartials<T>& sums, T* dh,
                     double up_log_prob, double up_entropy, double up_kl,
                     const SkipPenalty& penalty) const {
    const Decision& d = step.decision;
    if (d.kind == Kind::advance) return;
    const int64_t n = w_.h;
    const Partition p = d.kind == Kind::skips ? Partition{} : partition_of(step, s);
    for (int64_t j = 0; j < d.count; ++j) {
      const double up = logit_gradient(step, s, j, p, up_log_prob, up_entropy, up_kl, penalty) *
                        s_.slopes[(step.logit + j) * s_.samples + s];
      const T slope = static_cast<T>(up);
      if (d.kind == Kind::op) {
        K::axpy(slope, outputs_ + j * n, dh + (s - begin_) * n, n);
        K::axpy(slope, h(t + 1) + (s - begin_) * n, sums.outputs + j * n, n);
        sums.bias[j] += slope;
        continue;
      }
      const int64_t key = plan_.anchors[static_cast<size_t>(d.first_anchor + j)].key;
      K::attention_back(s_.attended + ((step.attended + j) * s_.samples + s) * n, w_.score, slope,
                        key < 0 ? nullptr : g.keys + (key * s_.samples + s) * n,
                        g.queries + (step.query * s_.samples + s) * n, sums.score, n);
    }
  }

  void input_back(const ControllerPlan::Step& step, size_t t, const ScoreGradients<T>& g,
                  const ScorePartials<T>& sums, const T* dz, T* dx) const {
    const int64_t n = w_.h;
    if (step.input < 0) {
      for (int64_t s = begin_; s < end_; ++s)
        K::axpy(T{1}, dz + (s - begin_) * 4 * n, sums.table + table_row(t, s) * 4 * n, 4 * n);
      return;
    }
    std::copy_n(dz, rows() * 4 * n, row(g.dz_input, step.input, 4 * n));
    std::fill_n(dx, rows() * n, T{0});
    K::product_back(dz, rows(), 4 * n, w_.lstm, n, dx);
    for (int64_t s = begin_; s < end_; ++s) {
      each_anchor(t, s, [&](int64_t anchor, double factor) {
        if (plan_.anchors[static_cast<size_t>(anchor)].step < 0) return;
        K::axpy(static_cast<T>(factor), dx + (s - begin_) * n,
                g.anchors + (anchor * s_.samples + s) * n, n);
      });
    }
  }

  const ControllerPlan& plan_;
  const ScoreWeights<T>& w_;
  const T *table_, *outputs_;
  const ScoreState<T>& s_;
  const int32_t* actions_;
  int64_t begin_, end_;
};

}  // namespace enas
