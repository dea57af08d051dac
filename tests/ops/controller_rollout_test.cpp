#include "ops/controller_rollout.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "tensor/thread_pool.h"

namespace enas::test {
namespace {

using Kind = Decision::Kind;
using From = Decision::From;
using Matrix = std::vector<std::vector<double>>;

Tensor draw(const Shape& shape, uint64_t step, DType dtype) {
  std::vector<double> values(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = 1.6 * Random{3, Stream::test, step}.uniform(i) - 0.8;
  return Tensor::from(values, shape, dtype);
}

ControllerWeights draw_weights(int64_t h, int64_t ops, DType dtype = DType::f64) {
  return {draw({1, h}, 0, dtype), draw({ops, h}, 1, dtype), draw({2 * h, 4 * h}, 2, dtype),
          draw({h, h}, 3, dtype), draw({h, h}, 4, dtype),   draw({h, 1}, 5, dtype)};
}

// The recurrent space in small, with all the switches: 1 * 3 * 2 * 3 * 3 architectures.
DecisionList small_list() {
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

// The formulas once more, for given actions: plain matrices, probabilities before logarithms.
struct Naive {
  double log_prob = 0, entropy = 0;
};
Matrix matrix(const Tensor& t) {
  Matrix m(static_cast<size_t>(t.size(0)));
  for (int64_t r = 0; r < t.size(0); ++r) m[static_cast<size_t>(r)] = t.slice(r, r + 1).to_vector();
  return m;
}
std::vector<double> times(const std::vector<double>& x, const Matrix& w) {
  std::vector<double> y(w[0].size());
  for (size_t j = 0; j < y.size(); ++j)
    for (size_t i = 0; i < x.size(); ++i) y[j] += x[i] * w[i][j];
  return y;
}
Naive naive(const ControllerWeights& w, const DecisionList& list, const int32_t* action) {
  const size_t n = static_cast<size_t>(w.start.numel());
  const Matrix embedding = matrix(w.embedding), lstm = matrix(w.lstm), key = matrix(w.key),
               query = matrix(w.query), score = matrix(w.score);
  std::vector<double> h(n), c(n);
  Matrix anchors(static_cast<size_t>(list.zero_anchors), h), keys = anchors;
  int32_t op = 0, index = 0, position = 0;
  Naive result;
  for (const Decision& d : list.steps) {
    std::vector<double> xh = d.input == From::start       ? w.start.to_vector()
                             : d.input == From::embedding ? embedding[static_cast<size_t>(op)]
                                                          : anchors[static_cast<size_t>(index)];
    if (d.input == From::anchor)
      for (double& v : xh) v = v / (0.1 + (position - index));
    xh.insert(xh.end(), h.begin(), h.end());
    const std::vector<double> z = times(xh, lstm);
    for (size_t k = 0; k < n; ++k) {
      const auto sig = [](double v) { return 1 / (1 + std::exp(-v)); };
      c[k] = sig(z[k]) * std::tanh(z[3 * n + k]) + sig(z[n + k]) * c[k];
      h[k] = sig(z[2 * n + k]) * std::tanh(c[k]);
    }
    if (d.kind != Kind::advance) {
      std::vector<double> p;
      double total = 0;
      const std::vector<double> q = times(h, query);
      for (int32_t j = 0; j < d.count; ++j) {
        const auto row = static_cast<size_t>(j);
        double logit = 0;
        for (size_t k = 0; k < n; ++k) {
          logit += d.kind == Kind::op ? h[k] * embedding[row][k]
                                      : score[k][0] * std::tanh(keys[row][k] + q[k]);
        }
        logit /= d.temperature;
        if (d.tanh_constant > 0) logit = d.tanh_constant * std::tanh(logit);
        if (d.kind == Kind::index) logit -= d.distance_bias * std::pow(d.count - j, 2);
        p.push_back(std::exp(logit));
        total += p.back();
      }
      for (double& v : p) v /= total;
      for (const double v : p) result.entropy -= v * std::log(v);
      result.log_prob += std::log(p[static_cast<size_t>(*action)]);
      (d.kind == Kind::op ? op : index) = *action++;
      if (d.kind == Kind::index) position = d.count;
    }
    if (d.leaves_anchor) {
      anchors.push_back(h);
      keys.push_back(times(h, key));
    }
  }
  return result;
}

TEST(ControllerRollout, LogProbAndEntropyEqualANaiveComputation) {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const ControllerWeights weights = draw_weights(6, 4, dtype);
    const DecisionList list = small_list();
    const Rollout out = controller_rollout(weights, list, 200, {7, Stream::shared_sample, 2});
    ASSERT_EQ(out.decisions, 5);
    for (int64_t s = 0; s < out.samples; ++s) {
      const Naive want = naive(weights, list, out.actions.data() + s * out.decisions);
      ASSERT_NEAR(out.log_prob[static_cast<size_t>(s)], want.log_prob, 1e-12);
      ASSERT_NEAR(out.entropy[static_cast<size_t>(s)], want.entropy, 1e-12);
    }
  }
}

// Every path of the list, by its mixed-radix digits.
std::vector<std::vector<int32_t>> all_paths(const DecisionList& list) {
  std::vector<std::vector<int32_t>> paths{{}};
  for (const Decision& d : list.steps) {
    if (d.kind == Kind::advance) continue;
    std::vector<std::vector<int32_t>> longer;
    for (const auto& path : paths) {
      for (int32_t a = 0; a < d.count; ++a) {
        longer.push_back(path);
        longer.back().push_back(a);
      }
    }
    paths = longer;
  }
  return paths;
}

TEST(ControllerRollout, FrequenciesMatchTheEnumeratedProbabilities) {
  constexpr int64_t kSamples = 100000;
  const ControllerWeights weights = draw_weights(4, 3);
  const DecisionList list = small_list();
  const Rollout out = controller_rollout(weights, list, kSamples, {11, Stream::test, 0});
  std::map<std::vector<int32_t>, double> count;
  for (int64_t s = 0; s < kSamples; ++s) {
    const int32_t* first = out.actions.data() + s * out.decisions;
    ++count[{first, first + out.decisions}];
  }
  const auto paths = all_paths(list);
  ASSERT_EQ(paths.size(), 54u);
  double total = 0, chi_square = 0;
  for (const auto& path : paths) {
    const double p = std::exp(naive(weights, list, path.data()).log_prob);
    total += p;
    ASSERT_GT(p * kSamples, 5);  // else chi-square does not hold
    chi_square += std::pow(count[path] - p * kSamples, 2) / (p * kSamples);
  }
  EXPECT_NEAR(total, 1, 1e-12);
  EXPECT_LT(chi_square, 90.6);  // 53 degrees of freedom, p = 0.001
}

TEST(ControllerRollout, SamplesDoNotDependOnThreadsOrOnTheBatch) {
  const ControllerWeights weights = draw_weights(5, 3, DType::f32);
  const DecisionList list = small_list();
  const Random random{1, Stream::policy_sample, 4};
  const int before = thread_count();
  set_thread_count(1);
  const Rollout want = controller_rollout(weights, list, 50, random);
  for (const int threads : {2, 3, 8}) {
    set_thread_count(threads);
    const Rollout out = controller_rollout(weights, list, 50, random);
    EXPECT_EQ(out.actions, want.actions);
    EXPECT_EQ(out.log_prob, want.log_prob);
    EXPECT_EQ(out.entropy, want.entropy);
  }
  set_thread_count(before);
  const Rollout tail = controller_rollout(weights, list, 13, random, 37);
  EXPECT_TRUE(std::equal(tail.actions.begin(), tail.actions.end(), want.actions.begin() + 37 * 5));
  EXPECT_TRUE(std::equal(tail.log_prob.begin(), tail.log_prob.end(), want.log_prob.begin() + 37));
}

TEST(ControllerRollout, DistanceBiasIsThePublishedPrior) {
  // Zero weights leave the bias alone: at 6 candidates P = .507 .307 .134 .042 .009 .0015 for
  // distance 1 to 6 (docs/method.md section 1.3).
  ControllerWeights w = draw_weights(2, 1);
  w.score.fill(0);
  DecisionList list;
  list.zero_anchors = 6;
  list.steps = {{Kind::index, 6, From::start, 5, 2.25, 1.0 / 6, false}};
  const Rollout out = controller_rollout(w, list, 4000, {2, Stream::test, 0});
  const double published[] = {.0015, .009, .042, .134, .307, .507};
  for (size_t s = 0; s < 4000; ++s)
    ASSERT_NEAR(std::exp(out.log_prob[s]), published[out.actions[s]], 6e-4);
}

// Four equally likely operations: the action is floor(4 u) of the draw of its own that each
// decision of each sample has.
TEST(ControllerRollout, EveryDecisionOfEverySampleHasItsOwnDraw) {
  ControllerWeights w = draw_weights(2, 4);
  w.embedding.fill(0);
  DecisionList list;
  list.steps = {{Kind::op, 4}, {Kind::op, 4, From::embedding}, {Kind::op, 4, From::embedding}};
  const Random random{2, Stream::test, 0};
  constexpr int64_t kSamples = 20, kFirst = 5;
  const Rollout out = controller_rollout(w, list, kSamples, random, kFirst);
  for (size_t k = 0; k < 3 * kSamples; ++k) {
    ASSERT_EQ(out.actions[k], static_cast<int32_t>(4 * random.uniform53(3 * kFirst + k))) << k;
  }
}

TEST(ControllerRollout, RefusesWhatDoesNotFit) {
  const ControllerWeights weights = draw_weights(4, 3);
  const auto refuses = [&](std::vector<Decision> steps, int32_t zero_anchors) {
    DecisionList list;
    list.steps = std::move(steps);
    list.zero_anchors = zero_anchors;
    EXPECT_THROW(controller_rollout(weights, list, 1, {}), Error);
  };
  refuses({{Kind::op, 4}}, 0);
  refuses({{Kind::op, 0}}, 0);
  refuses({{Kind::index, 2}}, 1);
  refuses({{Kind::op, 2, From::embedding}}, 0);
  refuses({{Kind::op, 2, From::anchor}}, 1);
  refuses({{Kind::op, 2, From::start, 0}}, 0);
  ControllerWeights wrong = weights;
  wrong.key = draw({4, 5}, 0, DType::f64);
  EXPECT_THROW(controller_rollout(wrong, {}, 1, {}), Error);
  ControllerWeights broken = draw_weights(4, 3);
  broken.lstm.fill(NAN);
  DecisionList list;
  list.steps = {{Kind::op, 3}};
  EXPECT_THROW(controller_rollout(broken, list, 1, {}), Error);
}

}  // namespace
}  // namespace enas::test
