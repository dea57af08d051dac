#include "ops/controller_rollout.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "tensor/thread_pool.h"
#include "tests/ops/controller_reference.h"

namespace enas::test {
namespace {

using Kind = Decision::Kind;
using From = Decision::From;

Tensor draw(const Shape& shape, uint64_t step, DType dtype) {
  std::vector<double> values(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = 1.6 * Random{3, Stream::test, step}.uniform(i) - 0.8;
  return Tensor::from(values, shape, dtype);
}

ControllerWeights draw_weights(int64_t h, int64_t ops, DType dtype = DType::f64,
                               const DecisionList& list = {}) {
  ControllerWeights w{draw({1, h}, 0, dtype),         draw({ops, h}, 1, dtype),
                      draw({2 * h, 4 * h}, 2, dtype), draw({h, h}, 3, dtype),
                      draw({h, h}, 4, dtype),         draw({h, 1}, 5, dtype)};
  if (list.op_matrix) w.output = draw({h, ops}, 6, dtype);
  if (!list.start_bias.empty()) w.bias = draw({1, ops}, 7, dtype);
  return w;
}

TEST(ControllerRollout, LogProbAndEntropyEqualANaiveComputation) {
  for (const int64_t h : {6, 1}) {  // 1: four gates are fewer than a vector
    for (const DType dtype : {DType::f64, DType::f32}) {
      const ControllerWeights weights = draw_weights(h, 4, dtype);
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
}

TEST(ControllerRollout, ConvolutionalSpacesEqualANaiveComputation) {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for (const DecisionList& list :
         {macro_list(true), macro_list(false, 4), micro_list(1), micro_list(2)}) {
      const ControllerWeights weights = draw_weights(6, 3, dtype, list);
      const Rollout out = controller_rollout(weights, list, 60, {7, Stream::shared_sample, 2});
      ASSERT_EQ(out.decisions, static_cast<int64_t>(choice_counts(list).size()));
      for (int64_t s = 0; s < out.samples; ++s) {
        const Naive want = naive(weights, list, out.actions.data() + s * out.decisions);
        ASSERT_NEAR(out.log_prob[static_cast<size_t>(s)], want.log_prob, 1e-12);
        ASSERT_NEAR(out.entropy[static_cast<size_t>(s)], want.entropy, 1e-12);
      }
    }
  }
}

// Every path of the list, by its mixed-radix digits.
std::vector<std::vector<int32_t>> all_paths(const DecisionList& list) {
  std::vector<std::vector<int32_t>> paths{{}};
  for (const int32_t candidates : choice_counts(list)) {
    std::vector<std::vector<int32_t>> longer;
    for (const auto& path : paths) {
      for (int32_t a = 0; a < candidates; ++a) {
        longer.push_back(path);
        longer.back().push_back(a);
      }
    }
    paths = longer;
  }
  return paths;
}

// Pearson's chi-square of 100,000 samples over all architectures of a list.
double chi_square_of(const ControllerWeights& weights, const DecisionList& list,
                     size_t architectures) {
  constexpr int64_t kSamples = 100000;
  const Rollout out = controller_rollout(weights, list, kSamples, {11, Stream::test, 0});
  std::map<std::vector<int32_t>, double> count;
  for (int64_t s = 0; s < kSamples; ++s) {
    const int32_t* first = out.actions.data() + s * out.decisions;
    ++count[{first, first + out.decisions}];
  }
  const auto paths = all_paths(list);
  EXPECT_EQ(paths.size(), architectures);
  double total = 0, chi_square = 0, rarest = kSamples;
  for (const auto& path : paths) {
    const double p = std::exp(naive(weights, list, path.data()).log_prob);
    total += p;
    rarest = std::min(rarest, p * kSamples);
    chi_square += std::pow(count[path] - p * kSamples, 2) / (p * kSamples);
  }
  EXPECT_NEAR(total, 1, 1e-12);
  EXPECT_GT(rarest, 5);  // else chi-square does not hold
  return chi_square;
}

TEST(ControllerRollout, FrequenciesMatchTheEnumeratedProbabilities) {
  // p = 0.001 at 53 and 215 degrees of freedom.
  EXPECT_LT(chi_square_of(draw_weights(4, 3), small_list(), 54), 90.6);
  const DecisionList macro = macro_list(true);
  EXPECT_LT(chi_square_of(draw_weights(4, 3, DType::f64, macro), macro, 216), 283.6);
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

TEST(ControllerRollout, TakesTheSamplesOfAWholeEpoch) {
  constexpr int64_t kMany = 330000;  // in more pieces than the thread pool takes at once
  const ControllerWeights weights = draw_weights(2, 4, DType::f32);
  const Random random{7, Stream::shared_sample, 2};
  const Rollout out = controller_rollout(weights, small_list(), kMany, random);
  const Rollout last = controller_rollout(weights, small_list(), 1, random, kMany - 1);
  EXPECT_EQ(out.log_prob.back(), last.log_prob[0]);
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
  refuses({{Kind::skips, 2}}, 1);
  refuses({{Kind::skips, 1}, {Kind::op, 2, From::bare_anchor}}, 1);
  refuses({{Kind::index, 1}, {Kind::op, 2, From::skips}}, 1);
  refuses({{Kind::index, 1, From::start, 1, 0, 0, false, false, 1}}, 1);
  refuses({{Kind::index, 1, From::start, 1, 0, 0, false, false, -1}}, 1);
  DecisionList own = macro_list(true);
  EXPECT_THROW(controller_rollout(weights, own, 1, {}), Error);  // the matrix is missing
  EXPECT_THROW(controller_rollout(draw_weights(4, 3, DType::f64, own), {}, 1, {}), Error);
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
