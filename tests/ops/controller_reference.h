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

// The macro space in small: 3 * (3 * 2) * (3 * 4) = 216 architectures. stem: candidate 0 has a zero
// anchor.
inline DecisionList macro_list(bool stem) {
  using Kind = Decision::Kind;
  using From = Decision::From;
  DecisionList list;
  list.op_matrix = true;
  list.zero_anchors = stem ? 1 : 0;
  for (int layer = 0; layer < 3; ++layer) {
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
inline Naive naive(const ControllerWeights& w, const DecisionList& list, const int32_t* action,
                   const SkipPenalty& penalty = {}) {
  using Kind = Decision::Kind;
  using From = Decision::From;
  const size_t n = static_cast<size_t>(w.start.numel());
  const Matrix embedding = matrix(w.embedding), lstm = matrix(w.lstm), key = matrix(w.key),
               query = matrix(w.query), score = matrix(w.score);
  const Matrix output = list.op_matrix ? matrix(w.output) : Matrix();
  const Matrix bias = list.start_bias.empty() ? Matrix() : matrix(w.bias);
  std::vector<double> h(n), c(n);
  Matrix anchors(static_cast<size_t>(list.zero_anchors), h), keys = anchors;
  int32_t op = 0, index = 0, position = 0;
  std::vector<size_t> skipped;
  int layers = 0;
  Naive result;
  for (const Decision& d : list.steps) {
    std::vector<double> xh = d.input == From::start       ? w.start.to_vector()
                             : d.input == From::embedding ? embedding[static_cast<size_t>(op)]
                             : d.input == From::skips     ? std::vector<double>(n)
                                                          : anchors[static_cast<size_t>(index)];
    if (d.input == From::anchor)
      for (double& v : xh) v = v / (0.1 + (position - index));
    for (size_t k = 0; d.input == From::skips && k < n; ++k) {
      for (const size_t a : skipped) xh[k] += anchors[a][k];
      xh[k] /= 1 + static_cast<double>(skipped.size());
    }
    xh.insert(xh.end(), h.begin(), h.end());
    const std::vector<double> z = times(xh, lstm);
    for (size_t k = 0; k < n; ++k) {
      const auto sig = [](double v) { return 1 / (1 + std::exp(-v)); };
      c[k] = sig(z[k]) * std::tanh(z[3 * n + k]) + sig(z[n + k]) * c[k];
      h[k] = sig(z[2 * n + k]) * std::tanh(c[k]);
    }
    if (d.kind == Kind::skips) {
      skipped.clear();
      ++layers;
    }
    if (d.kind != Kind::advance) {
      std::vector<double> p;
      double total = 0;
      const std::vector<double> q = times(h, query);
      for (int32_t j = 0; j < d.count; ++j) {
        const auto row = static_cast<size_t>(j), anchor = static_cast<size_t>(d.first_anchor + j);
        double logit = 0;
        for (size_t k = 0; k < n; ++k) {
          if (d.kind == Kind::op) {
            logit += h[k] * (list.op_matrix ? output[k][row] : embedding[row][k]);
          } else {
            logit += score[k][0] * std::tanh(keys[anchor][k] + q[k]);
          }
        }
        if (d.kind == Kind::op && !bias.empty()) logit += bias[0][row];
        logit /= d.temperature;
        if (d.tanh_constant > 0) logit = d.tanh_constant * std::tanh(logit);
        if (d.kind == Kind::index) logit -= d.distance_bias * std::pow(d.count - j, 2);
        if (d.kind == Kind::op && j < d.favoured) logit += d.op_bias;
        if (d.kind == Kind::op && j >= d.favoured) logit -= d.op_bias;
        if (d.kind == Kind::skips) {
          const double yes = 1 / (1 + std::exp(-2 * logit)), took = *action == 1 ? yes : 1 - yes;
          result.log_prob += std::log(took);
          result.entropy -= yes * std::log(yes) + (1 - yes) * std::log(1 - yes);
          const bool sigmoids = penalty.elementwise_sigmoid;
          const double p1 = sigmoids ? 1 / (1 + std::exp(-logit)) : yes;
          const double p0 = sigmoids ? 1 / (1 + std::exp(logit)) : 1 - yes;
          result.skip_kl += p1 * std::log(p1 / penalty.target);
          result.skip_kl += p0 * std::log(p0 / (1 - penalty.target));
          if (*action++ == 1) skipped.push_back(anchor);
          continue;
        }
        p.push_back(std::exp(logit));
        total += p.back();
      }
      for (double& v : p) v /= total;
      if (d.kind == Kind::skips) p.clear();
      for (const double v : p) result.entropy -= v * std::log(v);
      if (d.kind == Kind::op) {
        result.log_prob += std::log(p[static_cast<size_t>(*action)]);
        op = *action++;
      } else if (d.kind == Kind::index) {
        result.log_prob += std::log(p[static_cast<size_t>(*action)]);
        position = d.first_anchor + d.count;
        index = d.first_anchor + *action++;
      }
    }
    if (d.leaves_anchor) {
      anchors.push_back(d.zero_anchor ? std::vector<double>(n) : h);
      keys.push_back(times(h, key));
    }
  }
  if (layers > 0) result.skip_kl /= layers;
  return result;
}

}  // namespace enas::test
