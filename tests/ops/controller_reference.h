// The LSTM policy once more, with plain matrices and probabilities before logarithms, and small
// lists of decisions of every kind: what the ops of the controller are held to.
#pragma once
#include <cmath>
#include <vector>

#include "ops/controller_score.h"

namespace enas::test {

using Matrix = std::vector<std::vector<double>>;

// The recurrent space in small, with all the switches: 1 * 3 * 2 * 3 * 3 architectures.
inline DecisionList small_list() {
  using Kind = Decision::Kind;
  using From = Decision::From;
  DecisionList list;
  list.zero_anchors = 1;
  list.steps = {
      {Kind::index, 1, From::start, 5, 2.25, 1.0 / 6, true},
      {Kind::op, 3, From::anchor, 0.7, 0, 0, false},
      {Kind::index, 2, From::embedding, 1.5, 0, 1.0 / 6, true},
      {Kind::op, 3, From::anchor, 1, 2.5, 0, false},
      {Kind::advance, 0, From::embedding, 1, 0, 0, true},
      {Kind::index, 3, From::anchor, 1, 0, 0, false},
  };
  return list;
}

// The macro space in small: 3 * (3 * 2) * (3 * 4) = 216 architectures of three layers; in four, an
// input is made of two skips. stem: candidate 0 has a zero anchor.
inline DecisionList macro_list(bool stem, int layers = 3) {
  using Kind = Decision::Kind;
  using From = Decision::From;
  DecisionList list;
  list.op_matrix = true;
  list.zero_anchors = stem ? 1 : 0;
  for (int layer = 0; layer < layers; ++layer) {
    list.steps.push_back({Kind::op, 3, layer < 2 ? From::start : From::skips, 1, 1.5});
    const Kind kind = layer == 0 ? Kind::advance : Kind::skips;
    list.steps.push_back({kind, layer, From::embedding, 1, 1.5, 0, true});
  }
  return list;
}

// The micro space in small: two cells of so many nodes.
inline DecisionList micro_list(int nodes) {
  using Kind = Decision::Kind;
  using From = Decision::From;
  DecisionList list;
  list.op_matrix = true;
  list.start_bias = {0, 0, 0};
  for (const int32_t first : {0, nodes + 2}) {
    for (int input = 0; input < 2; ++input)
      list.steps.push_back({Kind::advance, 0, From::start, 1, 0, 0, true, true});
    for (int node = 2; node < nodes + 2; ++node) {
      list.steps.push_back({Kind::index, node, From::start, 2, 1.1, 0.1, false, false, first});
      list.steps.push_back({Kind::index, node, From::bare_anchor, 1, 0, 0, false, false, first});
      const double bias = first == 0 ? 0.25 : 0;
      list.steps.push_back({Kind::op, 3, From::anchor, 2, 0.44, 0, false, false, 0, 1, bias});
      list.steps.push_back({Kind::op, 3, From::embedding, 1, 0, 0, false, false, 0, 2, bias});
      list.steps.push_back({Kind::advance, 0, From::embedding, 1, 0, 0, true});
    }
  }
  return list;
}

// The formulas once more, for given actions: plain matrices, probabilities before logarithms.
struct Naive {
  double log_prob = 0, entropy = 0, skip_kl = 0;
};
inline Matrix matrix(const Tensor& t) {
  Matrix m(static_cast<size_t>(t.size(0)));
  for (int64_t r = 0; r < t.size(0); ++r) m[static_cast<size_t>(r)] = t.slice(r, r + 1).to_vector();
  return m;
}
inline std::vector<double> times(const std::vector<double>& x, const Matrix& w) {
  std::vector<double> y(w[0].size());
  for (size_t j = 0; j < y.size(); ++j)
    for (size_t i = 0; i < x.size(); ++i) y[j] += x[i] * w[i][j];
  return y;
}
class NaiveWalk {
  using Kind = Decision::Kind;
  using From = Decision::From;
  using Row = std::vector<double>;

 public:
  NaiveWalk(const ControllerWeights& w, const DecisionList& list, const int32_t* action,
            const SkipPenalty& penalty)
      : list_(list),
        penalty_(penalty),
        action_(action),
        start_(w.start.to_vector()),
        embedding_(matrix(w.embedding)),
        lstm_(matrix(w.lstm)),
        key_(matrix(w.key)),
        query_(matrix(w.query)),
        score_(matrix(w.score)),
        n_(start_.size()),
        h_(n_),
        c_(n_),
        anchors_(static_cast<size_t>(list.zero_anchors), h_),
        keys_(anchors_) {
    if (list.op_matrix) output_ = matrix(w.output);
    if (!list.start_bias.empty()) bias_ = w.bias.to_vector();
  }

  Naive result() {
    int layers = 0;
    for (const Decision& d : list_.steps) {
      move(d);
      layers += d.kind == Kind::skips;
      if (d.kind == Kind::skips) decide_skips(d);
      if (d.kind == Kind::op) op_ = decide_one(d);
      if (d.kind == Kind::index) {
        const int32_t choice = decide_one(d);
        index_ = static_cast<size_t>(d.first_anchor + choice);
        distance_ = d.count - choice;
      }
      if (!d.leaves_anchor) continue;
      anchors_.push_back(d.zero_anchor ? Row(n_) : h_);
      keys_.push_back(times(h_, key_));
    }
    if (layers > 0) result_.skip_kl /= layers;
    return result_;
  }

 private:
  void move(const Decision& d) {
    Row xh = d.input == From::start       ? start_
             : d.input == From::embedding ? embedding_[static_cast<size_t>(op_)]
             : d.input == From::skips     ? Row(n_)
                                          : anchors_[index_];
    if (d.input == From::anchor)
      for (double& v : xh) v = v / (0.1 + distance_);
    for (size_t k = 0; d.input == From::skips && k < n_; ++k) {
      for (const size_t a : skipped_) xh[k] += anchors_[a][k];
      xh[k] /= 1 + static_cast<double>(skipped_.size());
    }
    xh.insert(xh.end(), h_.begin(), h_.end());
    const Row z = times(xh, lstm_);
    for (size_t k = 0; k < n_; ++k) {
      const auto sig = [](double v) { return 1 / (1 + std::exp(-v)); };
      c_[k] = sig(z[k]) * std::tanh(z[3 * n_ + k]) + sig(z[n_ + k]) * c_[k];
      h_[k] = sig(z[2 * n_ + k]) * std::tanh(c_[k]);
    }
  }

  double logit(const Decision& d, int32_t j) const {
    const auto row = static_cast<size_t>(j), anchor = static_cast<size_t>(d.first_anchor + j);
    const Row q = times(h_, query_);
    double logit = d.kind == Kind::op && !bias_.empty() ? bias_[row] : 0;
    for (size_t k = 0; k < n_; ++k) {
      if (d.kind == Kind::op) {
        logit += h_[k] * (list_.op_matrix ? output_[k][row] : embedding_[row][k]);
      } else {
        logit += score_[k][0] * std::tanh(keys_[anchor][k] + q[k]);
      }
    }
    logit /= d.temperature;
    if (d.tanh_constant > 0) logit = d.tanh_constant * std::tanh(logit);
    if (d.kind == Kind::index) logit -= d.distance_bias * std::pow(d.count - j, 2);
    if (d.kind == Kind::op) logit += j < d.favoured ? d.op_bias : -d.op_bias;
    return logit;
  }

  int32_t decide_one(const Decision& d) {
    Row p;
    double total = 0;
    for (int32_t j = 0; j < d.count; ++j) {
      p.push_back(std::exp(logit(d, j)));
      total += p.back();
    }
    for (double& v : p) v /= total;
    for (const double v : p) result_.entropy -= v * std::log(v);
    result_.log_prob += std::log(p[static_cast<size_t>(*action_)]);
    return *action_++;
  }

  void decide_skips(const Decision& d) {
    skipped_.clear();
    for (int32_t j = 0; j < d.count; ++j) {
      const double x = logit(d, j), yes = 1 / (1 + std::exp(-2 * x));
      result_.log_prob += std::log(*action_ == 1 ? yes : 1 - yes);
      result_.entropy -= yes * std::log(yes) + (1 - yes) * std::log(1 - yes);
      const bool sigmoids = penalty_.elementwise_sigmoid;
      const double p1 = sigmoids ? 1 / (1 + std::exp(-x)) : yes;
      const double p0 = sigmoids ? 1 / (1 + std::exp(x)) : 1 - yes;
      result_.skip_kl += p1 * std::log(p1 / penalty_.target);
      result_.skip_kl += p0 * std::log(p0 / (1 - penalty_.target));
      if (*action_++ == 1) skipped_.push_back(static_cast<size_t>(d.first_anchor + j));
    }
  }

  const DecisionList& list_;
  const SkipPenalty& penalty_;
  const int32_t* action_;
  Row start_;
  Matrix embedding_, lstm_, key_, query_, score_, output_;
  Row bias_;
  size_t n_;
  Row h_, c_;
  Matrix anchors_, keys_;
  std::vector<size_t> skipped_;
  int32_t op_ = 0, distance_ = 0;
  size_t index_ = 0;
  Naive result_;
};

inline Naive naive(const ControllerWeights& w, const DecisionList& list, const int32_t* action,
                   const SkipPenalty& penalty = {}) {
  return NaiveWalk(w, list, action, penalty).result();
}

}  // namespace enas::test
