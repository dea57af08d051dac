// REINFORCE against the truth: on a space small enough to enumerate the estimate has the enumerated
// gradient as its mean, with any baseline; the moving baseline and the entropy bonus are as their
// formulas say (docs/method.md "What we implement"). That it learns: policy_mode_test.cpp.
#include "nas/reinforce.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "nas/search.h"
#include "tests/nas/policies.h"

namespace enas::test {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// All 128 architectures of two nodes after a searched node 0, in ascending order, with rewards that
// lie far from 0 as those of a search do.
struct SmallSpace {
  RnnSpace space{2, true};
  std::vector<Architecture> all = enumerate(space.decisions({}));
  std::vector<double> rewards = [this] {
    std::vector<double> list;
    for (uint64_t a = 0; a < all.size(); ++a) {
      list.push_back(1 + Random{17, Stream::test, 0}.uniform53(a));
    }
    return list;
  }();

  size_t number(const Architecture& arch) const {
    return static_cast<size_t>(std::lower_bound(all.begin(), all.end(), arch) - all.begin());
  }
  double reward(const Architecture& arch) const { return rewards[number(arch)]; }
};

double log_prob(Controller& controller, const Architecture& arch) {
  Tape tape;
  const Tape::NoGrad no_grad(tape);
  return controller.log_prob(tape, arch).log_prob.value().item();
}

// Gradients of the controller's parameters, in one list.
std::vector<double> gradients(Controller& controller) {
  std::vector<double> list;
  for (const Parameter& p : controller.parameters()) {
    const std::vector<double> part = p.grad.to_vector();
    list.insert(list.end(), part.begin(), part.end());
  }
  return list;
}

std::vector<double> score_gradient(Controller& controller, const Architecture& arch) {
  Tape tape;
  tape.backward(controller.log_prob(tape, arch).log_prob);
  return gradients(controller);
}

// A fixed random direction in the space of all parameters, with entries in [-1, 1].
std::vector<double> direction(size_t size, uint64_t number) {
  std::vector<double> list;
  for (uint64_t i = 0; i < size; ++i) {
    list.push_back(2 * Random{3, Stream::test, number}.uniform53(i) - 1);
  }
  return list;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

constexpr uint64_t kDirections = 20;
constexpr int64_t kSamples = 100000;

// The policy with everything enumerated: p(a), and grad log p(a) projected on each direction.
class Enumerated {
 public:
  Enumerated() {
    for (const Architecture& arch : small.all) {
      const std::vector<double> gradient = score_gradient(controller, arch);
      std::vector<double> row;
      for (uint64_t k = 0; k < kDirections; ++k) {
        row.push_back(dot(gradient, direction(gradient.size(), k)));
      }
      projected.push_back(row);
      probability.push_back(std::exp(log_prob(controller, arch)));
    }
  }
  // sum_a p(a) (R(a) - b) grad log p(a), on direction k.
  double gradient(uint64_t k, double b = 0) const {
    double sum = 0;
    for (size_t a = 0; a < small.all.size(); ++a) {
      sum += probability[a] * (small.rewards[a] - b) * projected[a][k];
    }
    return sum;
  }
  double mean_reward() const { return dot(probability, small.rewards); }

  SmallSpace small;
  Controller controller = controller_of(small.space, 0.8, 8, 31);
  std::vector<double> probability;
  std::vector<std::vector<double>> projected;  // [architecture][direction]
};

struct Estimate {
  double mean, variance;
};

// From samples of the policy and a baseline held at `b`, one a direction.
std::vector<Estimate> estimates(const Enumerated& truth, double b) {
  const Rollout rollout = truth.controller.sample(kSamples, Random{41, Stream::test, 0});
  std::vector<size_t> numbers;
  std::vector<double> rewards;
  for (const Architecture& arch : architectures_of(rollout)) {
    numbers.push_back(truth.small.number(arch));
    rewards.push_back(truth.small.rewards[numbers.back()]);
  }
  RewardBaseline baseline(1);  // a decay of 1 holds it
  baseline.set(b);
  const std::vector<double> advantages = baseline.advantages(rewards);
  std::vector<Estimate> list;
  for (uint64_t k = 0; k < kDirections; ++k) {
    double sum = 0, squares = 0;
    for (size_t s = 0; s < numbers.size(); ++s) {
      const double x = advantages[s] * truth.projected[numbers[s]][k];
      sum += x;
      squares += x * x;
    }
    const double mean = sum / kSamples;
    list.push_back({mean, squares / kSamples - mean * mean});
  }
  return list;
}

TEST(Reinforce, EstimateIsUnbiasedWithAnyBaseline) {
  const Enumerated truth;
  const double mean_reward = truth.mean_reward();
  const std::vector<Estimate> plain = estimates(truth, 0), based = estimates(truth, mean_reward);
  double worst = 0, variance_plain = 0, variance_based = 0;
  for (uint64_t k = 0; k < kDirections; ++k) {
    const double want = truth.gradient(k);
    EXPECT_NEAR(truth.gradient(k, mean_reward), want, 1e-12);
    for (const Estimate& estimate : {plain[k], based[k]}) {
      const double error = std::sqrt(estimate.variance / kSamples);
      ASSERT_GT(error, 0);
      EXPECT_LE(std::fabs(estimate.mean - want), 3.5 * error) << "direction " << k;
      worst = std::max(worst, std::fabs(estimate.mean - want) / error);
    }
    variance_plain += plain[k].variance;
    variance_based += based[k].variance;
  }
  EXPECT_LT(variance_based, variance_plain / 5);
  RecordProperty("largest_standard_errors", std::to_string(worst));
  RecordProperty("variance_ratio", std::to_string(variance_plain / variance_based));
}

// What REINFORCE estimates is the slope of the expected reward.
TEST(Reinforce, EnumeratedGradientIsTheSlopeOfTheExpectedReward) {
  Enumerated truth;
  const auto expected_reward = [&](uint64_t k, double length) {
    Controller moved = controller_of(truth.small.space, 0.8, 8, 31);
    const size_t size = static_cast<size_t>(moved.parameters().count());
    const std::vector<double> along = direction(size, k);
    size_t at = 0;
    for (Parameter& p : moved.parameters()) {
      for (int64_t i = 0; i < p.value.numel(); ++i) {
        p.value.data<double>()[i] += length * along[at++];
      }
    }
    double sum = 0;
    for (size_t a = 0; a < truth.small.all.size(); ++a) {
      sum += std::exp(log_prob(moved, truth.small.all[a])) * truth.small.rewards[a];
    }
    return sum;
  };
  const double step = 1e-5;
  for (uint64_t k = 0; k < kDirections; ++k) {
    const double slope = (expected_reward(k, step) - expected_reward(k, -step)) / (2 * step);
    EXPECT_NEAR(truth.gradient(k), slope, 1e-7 * std::max(1.0, std::fabs(slope)));
  }
}

TEST(Reinforce, GradientOfTheLoss) {
  const RnnSpace space(3);
  Controller controller = controller_of(space, 0.5, 6, 8);
  const std::vector<Architecture> batch =
      architectures_of(controller.sample(5, Random{2, Stream::test, 0}));
  const std::vector<double> advantages = {0.5, -1.25, 2, 0, -0.125};
  Tape tape;
  tape.backward(reinforce_loss(tape, controller, batch, advantages));
  const std::vector<double> got = gradients(controller);
  std::vector<double> want(got.size());
  for (size_t s = 0; s < batch.size(); ++s) {
    const std::vector<double> one = score_gradient(controller, batch[s]);
    for (size_t i = 0; i < want.size(); ++i) want[i] -= advantages[s] / 5 * one[i];
  }
  double largest = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    largest = std::max(largest, std::fabs(want[i]));
    EXPECT_NEAR(got[i], want[i], 1e-14);
  }
  EXPECT_GT(largest, 1e-3);
  const std::vector<double> four(4);
  EXPECT_THROW(reinforce_loss(tape, controller, batch, four), Error);
}

// A task of controller_step: rewards by table, and which samples were asked for.
struct TableTask {
  const SmallSpace& small;
  std::vector<uint64_t> asked = {};
  bool broken = false;
  std::vector<double> rewards(std::span<const Architecture> archs, uint64_t first) {
    std::vector<double> list;
    for (const Architecture& arch : archs) {
      asked.push_back(first + list.size());
      list.push_back(broken && asked.size() % 3 == 0 ? kNaN : small.reward(arch));
    }
    return list;
  }
};

// By hand, decay 0.75: b starts at the mean 3, then b <- b - 0.25 (b - r).
TEST(RewardBaseline, StartsAtTheMeanAndIsUsedBeforeFolding) {
  RewardBaseline baseline(0.75);
  EXPECT_FALSE(baseline.value().has_value());
  EXPECT_EQ(baseline.advantages(std::vector<double>{1, 3, 5}),
            (std::vector<double>{1 - 3.0, 3 - 2.5, 5 - 2.625}));
  EXPECT_EQ(*baseline.value(), 3.21875);  // 2.625 + 0.25 * 2.375
  EXPECT_EQ(baseline.advantages(std::vector<double>{4, 0}),
            (std::vector<double>{4 - 3.21875, 0 - 3.4140625}));
  EXPECT_EQ(*baseline.value(), 3.4140625 * 0.75);
}

TEST(RewardBaseline, OneSampleHasNoAdvantageAtFirst) {
  RewardBaseline baseline(0.999);
  EXPECT_EQ(baseline.advantages(std::vector<double>{0.7}), std::vector<double>{0});
  EXPECT_EQ(*baseline.value(), 0.7);
  EXPECT_NEAR(baseline.advantages(std::vector<double>{0.9}).front(), 0.2, 1e-15);
}

// Parity switch baseline-first: every advantage is decay times that of the same baseline unfolded.
TEST(RewardBaseline, FoldedFirstStartsAtZeroAndScalesByTheDecay) {
  const double decay = 0.75;
  RewardBaseline baseline(decay, true);
  const std::vector<double> rewards = {1, 3, 5, -2};
  const std::vector<double> got = baseline.advantages(rewards);
  double b = 0;
  for (size_t s = 0; s < rewards.size(); ++s) {
    EXPECT_DOUBLE_EQ(got[s], decay * (rewards[s] - b));
    b -= (1 - decay) * (b - rewards[s]);
  }
  EXPECT_DOUBLE_EQ(*baseline.value(), b);
  baseline.set(8);
  EXPECT_EQ(baseline.advantages(std::vector<double>{4}), std::vector<double>{-3});
}

TEST(RewardBaseline, RefusesRewardsThatAreNotFinite) {
  for (const double bad : {kNaN, std::numeric_limits<double>::infinity(), -HUGE_VAL}) {
    RewardBaseline baseline(0.9), fresh(0.9);
    baseline.set(0.5);
    for (RewardBaseline* one : {&baseline, &fresh}) {
      const std::optional<double> before = one->value();
      try {
        one->advantages(std::vector<double>{1, 2, bad});
        ADD_FAILURE() << bad << " was taken";
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::diverged) << error.what();
      }
      EXPECT_EQ(one->value(), before);
    }
    EXPECT_THROW(fresh.advantages({}), Error);
  }
}

std::vector<double> values_of(Controller& controller) {
  std::vector<double> list;
  for (const Parameter& p : controller.parameters()) {
    const std::vector<double> part = p.value.to_vector();
    list.insert(list.end(), part.begin(), part.end());
  }
  return list;
}

TEST(ControllerStep, ARewardThatIsNotFiniteChangesNothing) {
  const SmallSpace small;
  Controller controller = controller_of(small.space, 0.5, 8, 3);
  const std::vector<double> before = values_of(controller);
  Adam adam;
  RewardBaseline baseline(0.9);
  baseline.set(1.25);
  TableTask task{small, {}, true};
  Tape tape;
  ControllerStepOptions options;
  EXPECT_THROW(controller_step(tape, task, controller, adam, baseline, options, 1, 0), Error);
  EXPECT_EQ(values_of(controller), before);
  EXPECT_EQ(baseline.value(), 1.25);
}

TEST(ControllerStep, ReportsItsSamples) {
  const SmallSpace small;
  Controller controller = controller_of(small.space, 0.5, 8, 3);
  const std::vector<double> before = values_of(controller);
  const Rollout rollout = controller.sample(6, Random{9, Stream::policy_sample, 4});
  const std::vector<Architecture> drawn = architectures_of(rollout);
  Adam adam;
  RewardBaseline baseline(1);
  baseline.set(0);
  TableTask task{small};
  Tape tape;
  ControllerStepOptions options;
  options.samples = 6;
  options.lr = 1e-3;
  const ControllerReport report =
      controller_step(tape, task, controller, adam, baseline, options, 9, 4);
  EXPECT_EQ(task.asked, (std::vector<uint64_t>{24, 25, 26, 27, 28, 29}));
  double reward = 0, entropy = 0, best = 0;
  for (size_t s = 0; s < 6; ++s) {
    reward += small.reward(drawn[s]) / 6;
    entropy += rollout.entropy[s] / 6;
    best = std::max(best, small.reward(drawn[s]));
  }
  EXPECT_NEAR(report.reward, reward, 1e-14);
  EXPECT_NEAR(report.entropy, entropy, 1e-14);
  EXPECT_EQ(small.reward(report.best), best);
  EXPECT_TRUE(report.step.finite());
  EXPECT_GT(report.step.grad_norm(), 0);
  // Adam's first step moves each weight that has a gradient by the rate, against its sign.
  const std::vector<double> after = values_of(controller);
  double largest = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    largest = std::max(largest, std::fabs(after[i] - before[i]));
  }
  EXPECT_NEAR(largest, options.lr, 1e-6 * options.lr + 1e-8);
}

// Entropies of a path from the enumerated distribution alone: P(prefix) sums the architectures that
// begin with it.
struct PathEntropy {
  double exact = 0, sampled = 0;
};
PathEntropy path_entropy(const Enumerated& truth, const Architecture& arch) {
  const auto mass = [&](std::vector<int32_t> prefix) {
    double sum = 0;
    for (size_t a = 0; a < truth.small.all.size(); ++a) {
      const std::vector<int32_t>& choices = truth.small.all[a].choices;
      if (std::equal(prefix.begin(), prefix.end(), choices.begin())) sum += truth.probability[a];
    }
    return sum;
  };
  PathEntropy path;
  std::vector<int32_t> prefix;
  for (const int32_t choice : arch.choices) {
    const double before = mass(prefix);
    prefix.push_back(0);
    for (int32_t other = 0; other < kActivations; ++other) {
      prefix.back() = other;
      const double p = mass(prefix) / before;
      if (p == 0) continue;
      path.exact -= p * std::log(p);
      if (other == choice) path.sampled -= p * std::log(p);
    }
    prefix.back() = choice;
  }
  return path;
}

TEST(ControllerStep, EntropyBonusIsExactOrOfOneSample) {
  Enumerated truth;
  Adam adam;
  Tape tape;
  for (uint64_t update = 0; update < 20; ++update) {
    for (const bool sample_entropy : {false, true}) {
      RewardBaseline baseline(0.9);  // after one sample it holds that sample's reward with bonus
      TableTask task{truth.small};
      ControllerStepOptions options{1, 0, 0.5, sample_entropy};
      const ControllerReport report =
          controller_step(tape, task, truth.controller, adam, baseline, options, 5, update);
      const PathEntropy path = path_entropy(truth, report.best);
      const double bonus = 0.5 * (sample_entropy ? path.sampled : path.exact);
      EXPECT_NEAR(report.baseline, truth.small.reward(report.best) + bonus, 1e-12);
      EXPECT_NEAR(report.entropy, path.exact, 1e-12);
      EXPECT_EQ(report.reward, truth.small.reward(report.best));
    }
  }
}

}  // namespace
}  // namespace enas::test
