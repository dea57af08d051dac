// The policy: its two forms are one (sample and log_prob), its gradient, its probabilities, and the
// reachable bounds of its entropy (docs/method.md sections 1.3 and 8).
#include "nas/controller.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "nas/search.h"
#include "ops/pointwise.h"
#include "tests/nas/policies.h"

namespace enas::test {
namespace {

struct Values {
  double log_prob, entropy;
};

Values score_of(Controller& controller, const Architecture& arch) {
  Tape tape;
  const Tape::NoGrad no_grad(tape);
  const Controller::Score score = controller.log_prob(tape, arch, {.entropy = true});
  return {score.log_prob.value().item(), score.entropy.value().item()};
}

// Largest difference of the two forms, relative to the larger of 1 and the magnitude.
double largest_difference(Controller& controller, uint64_t seed) {
  const Rollout rollout = controller.sample(20, Random{seed, Stream::test, 1});
  const std::vector<Architecture> architectures = architectures_of(rollout);
  double worst = 0;
  for (size_t s = 0; s < architectures.size(); ++s) {
    const Values tape = score_of(controller, architectures[s]);
    const auto compare = [&](double got, double want) {
      worst = std::max(worst, std::fabs(got - want) / std::max(1.0, std::fabs(want)));
    };
    compare(tape.log_prob, rollout.log_prob[s]);
    compare(tape.entropy, rollout.entropy[s]);
  }
  return worst;
}

// In f32 the tape rounds what sample() computes in double. Logits that are not bounded grow with
// the weights, to tens at range 2, and so does their rounding.
TEST(Controller, SampleAndLogProbAreOnePolicy) {
  double worst_f64 = 0, worst_f32 = 0;
  const auto compare = [&](const RnnSpace& space, double range, const PolicyShape& shape) {
    Controller wide = controller_of(space, range, 24, 7, DType::f64, shape);
    Controller narrow = controller_of(space, range, 24, 7, DType::f32, shape);
    const double f64 = largest_difference(wide, 3), f32 = largest_difference(narrow, 3);
    const bool large = shape.tanh_constant == 0 && range > 1;
    SCOPED_TRACE(space.count() + " architectures, range " + std::to_string(range));
    EXPECT_LE(f64, 1e-10);
    EXPECT_LE(f32, large ? 1e-5 : 1e-6);
    worst_f64 = std::max(worst_f64, f64);
    if (!large) worst_f32 = std::max(worst_f32, f32);
  };
  for (const bool searched : {false, true}) {
    for (const int nodes : {1, 2, 5, 9, 16}) {
      for (const double range : {0.01, 0.1, 0.5, 2.0}) {
        compare(RnnSpace(nodes, searched), range, {});
        compare(RnnSpace(nodes, searched), range, {1, 0, 0});
      }
    }
  }
  std::ostringstream worst;
  worst << "f64 " << worst_f64 << ", f32 " << worst_f32;
  RecordProperty("largest_difference", worst.str());
}

TEST(Controller, SamplesDoNotDependOnTheBatch) {
  const RnnSpace space(6);
  const Controller controller = controller_of(space, 0.3, 16, 2);
  const Random random{5, Stream::test, 9};
  const Rollout all = controller.sample(12, random), rest = controller.sample(7, random, 5);
  const std::vector<Architecture> whole = architectures_of(all), part = architectures_of(rest);
  for (size_t s = 0; s < part.size(); ++s) {
    EXPECT_EQ(part[s], whole[s + 5]);
    EXPECT_EQ(rest.log_prob[s], all.log_prob[s + 5]);
  }
  const DecisionList& list = controller.decisions();
  const auto uniform = uniform_architectures(list, 12, random);
  const auto later = uniform_architectures(list, 7, random, 5);
  EXPECT_TRUE(std::equal(later.begin(), later.end(), uniform.begin() + 5));
}

// What nobody asked for is not recorded: an entropy a decision, and their sum.
TEST(Controller, EntropyIsRecordedWhereItIsAskedFor) {
  Controller controller = controller_of(RnnSpace(3), 0.5, 8, 1);
  const Architecture arch = RnnSpace(3).parse("0 0 1 3 0 1");
  Tape plain, with_entropy;
  const Controller::Score score = controller.log_prob(plain, arch);
  const Controller::Score both = controller.log_prob(with_entropy, arch, {.entropy = true});
  EXPECT_FALSE(score.entropy.value().defined());
  EXPECT_EQ(score.log_prob.value().item(), both.log_prob.value().item());
  EXPECT_EQ(with_entropy.recorded_ops(), plain.recorded_ops() + arch.choices.size() + 2);
}

void check_gradient(Controller& controller, const Architecture& arch, double weight_log_prob,
                    double weight_entropy) {
  const auto value = [&](Tape& tape) {
    const Controller::Score score = controller.log_prob(tape, arch, {.entropy = true});
    return add(scale(score.log_prob, weight_log_prob), scale(score.entropy, weight_entropy));
  };
  Tape tape;
  tape.backward(value(tape));
  ASSERT_EQ(tape.parameters().size(), controller.parameters().size());
  for (Parameter& p : controller.parameters()) {
    ASSERT_TRUE(p.grad.defined()) << p.name;
    const std::vector<double> gradient = p.grad.to_vector();
    double largest = 0, worst = 0;
    for (int64_t i = 0; i < p.value.numel(); ++i) {
      const double step = 1e-5, at = p.value.item(i);
      const auto moved = [&](double to) {
        p.value.data<double>()[i] = to;
        Tape scratch;
        const Tape::NoGrad no_grad(scratch);
        return value(scratch).value().item();
      };
      const double slope = (moved(at + step) - moved(at - step)) / (2 * step);
      p.value.data<double>()[i] = at;
      const double got = gradient[static_cast<size_t>(i)];
      largest = std::max(largest, std::fabs(slope));
      worst = std::max(worst, std::fabs(got - slope));
    }
    EXPECT_GT(largest, 1e-4) << p.name << ": the gradient does not reach it";
    EXPECT_LE(worst, 1e-8 * std::max(1.0, largest)) << p.name;
  }
}

TEST(Controller, GradientOfEveryParameter) {
  for (const bool searched : {false, true}) {
    const RnnSpace space(4, searched);
    Controller controller = controller_of(space, 0.8, 5, 11);
    const Architecture arch = searched ? Architecture{{2, 0, 3, 1, 1, 0, 0, 3, 2}}
                                       : Architecture{{0, 3, 1, 1, 0, 0, 3, 2}};
    check_gradient(controller, arch, 1, 0);
    check_gradient(controller, arch, 0, 1);
  }
}

TEST(Controller, GradientWithoutBound) {
  const RnnSpace space(3);
  Controller controller = controller_of(space, 0.8, 5, 12, DType::f64, {1, 0, 0.1});
  check_gradient(controller, space.parse("0 1 1 2 0 3"), 1, 0);
}

TEST(Controller, ProbabilitiesSumToOne) {
  for (const bool searched : {false, true}) {
    for (const double range : {0.01, 0.5, 3.0}) {
      for (const PolicyShape& shape : {PolicyShape{}, PolicyShape{1, 0, 0}, PolicyShape{2, 4, 1}}) {
        const RnnSpace space(2, searched);
        Controller controller = controller_of(space, range, 12, 21, DType::f64, shape);
        const std::vector<Architecture> all = enumerate(controller.decisions());
        ASSERT_EQ(std::to_string(all.size()), space.count());
        double total = 0;
        for (const Architecture& arch : all) total += std::exp(score_of(controller, arch).log_prob);
        EXPECT_NEAR(total, 1, 1e-12) << range;
      }
    }
  }
}

// Pearson's chi-square of 40,000 samples; 127 degrees of freedom, 218 lies at p = 1e-6.
TEST(Controller, SamplesFollowTheProbabilities) {
  const RnnSpace space(2, true);
  Controller controller = controller_of(space, 1.0, 12, 22);
  const std::vector<Architecture> all = enumerate(controller.decisions());
  const int64_t samples = 40000;
  std::vector<double> seen(all.size());
  for (const Architecture& arch :
       architectures_of(controller.sample(samples, Random{1, Stream::test, 0}))) {
    seen[static_cast<size_t>(std::lower_bound(all.begin(), all.end(), arch) - all.begin())] += 1;
  }
  double chi_square = 0, rarest = samples;
  for (size_t a = 0; a < all.size(); ++a) {
    const double expected =
        static_cast<double>(samples) * std::exp(score_of(controller, all[a]).log_prob);
    chi_square += std::pow(seen[a] - expected, 2) / expected;
    rarest = std::min(rarest, expected);
  }
  EXPECT_GT(rarest, 5);
  EXPECT_LT(chi_square, 218);
}

// docs/method.md section 1.3: at zero logits and 6 candidates, P of distance 1 to 6.
TEST(Controller, DistanceBiasAtZeroLogits) {
  const std::vector<double> published = {.507, .307, .134, .042, .009, .0015};
  const std::vector<double> half_digit = {5e-4, 5e-4, 5e-4, 5e-4, 5e-4, 5e-5};
  const RnnSpace space(6);
  Controller controller = controller_of(space, 0, 8, 1);
  std::vector<int32_t> choices = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  std::vector<double> log_probs;
  for (int32_t distance = 1; distance <= 6; ++distance) {
    choices[10] = 6 - distance;
    log_probs.push_back(score_of(controller, {choices}).log_prob);
  }
  double total = 0;
  for (const double log_prob : log_probs) total += std::exp(log_prob);
  for (size_t d = 0; d < 6; ++d) {
    EXPECT_NEAR(std::exp(log_probs[d]) / total, published[d], half_digit[d]) << d + 1;
  }
}

TEST(Controller, RefusesArchitecturesOfAnotherSpace) {
  Controller controller = controller_of(RnnSpace(2), 0.1, 4, 1);
  Tape tape;
  EXPECT_THROW(controller.log_prob(tape, {{0, 0, 1}}), Error);
  EXPECT_THROW(controller.log_prob(tape, {{0, 0, 1, 0, 0}}), Error);
  EXPECT_THROW(controller.log_prob(tape, {{0, 4, 1, 0}}), Error);
  EXPECT_THROW(controller.log_prob(tape, {{0, 0, 2, 0}}), Error);
  EXPECT_THROW(controller.log_prob(tape, {{0, 0, -1, 0}}), Error);
}

// What the sampling kept spares an update the forward pass and changes no bit. That it is used:
// with weights that changed behind the version's back the two differ.
TEST(Controller, AnUpdateIsTheSameWithoutWhatTheSamplingKept) {
  struct {
    std::vector<double> rewards(std::span<const Architecture> list, uint64_t first) {
      std::vector<double> rewards(list.size());
      for (size_t s = 0; s < list.size(); ++s)
        rewards[s] = Random{2, Stream::test, first}.uniform53(s);
      return rewards;
    }
  } task;
  Controller kept = controller_of(RnnSpace(5), 0.5, 12, 3, DType::f32);
  Controller walked = controller_of(RnnSpace(5), 0.5, 12, 3, DType::f32);
  Adam adam_kept, adam_walked;
  Tape tape;
  const ControllerStepOptions options{7, 1e-2};
  const RewardBaseline baseline(0.9);
  for (uint64_t update = 0; update < 6; ++update) {
    const bool changed = update == 5;
    ScoredSamples samples = score_samples(task, kept, options, 9, update);
    ASSERT_NE(samples.rollout.trace, nullptr);
    for (Controller* controller : {&kept, &walked})
      for (Parameter& p : controller->parameters()) p.value.data<float>()[0] += changed ? 0.5f : 0;
    policy_update(tape, kept, adam_kept, baseline, options, samples);
    samples.rollout.trace = nullptr;
    policy_update(tape, walked, adam_walked, baseline, options, samples);
    for (Parameter& p : kept.parameters()) {
      const auto here = p.value.to_vector();
      const auto there = walked.parameters().get(p.name).value.to_vector();
      EXPECT_EQ(here != there, changed) << p.name;
    }
  }
}

double entropy_of(const std::vector<double>& logits) {
  double total = 0, entropy = 0;
  for (const double logit : logits) total += std::exp(logit);
  for (const double logit : logits) {
    const double p = std::exp(logit) / total;
    entropy -= p * std::log(p);
  }
  return entropy;
}

std::vector<double> centres_of(const Decision& decision) {
  std::vector<double> centres;
  for (int32_t j = 0; j < decision.count; ++j) {
    centres.push_back(-std::pow(decision.count - j, 2) * decision.distance_bias);
  }
  return centres;
}

// The entropy of one decision where `offset(j)` moves logit j from its centre.
template <class F>
double moved_entropy(const Decision& decision, const F& offset) {
  std::vector<double> logits = centres_of(decision);
  for (size_t j = 0; j < logits.size(); ++j) logits[j] += offset(j);
  return entropy_of(logits);
}

double lowest_corner(const Decision& decision) {
  double lowest = 1e9;
  for (size_t corner = 0; corner < size_t{1} << decision.count; ++corner) {
    lowest = std::min(lowest, moved_entropy(decision, [&](size_t j) {
                        return (corner >> j & 1 ? 1 : -1) * decision.tanh_constant;
                      }));
  }
  return lowest;
}

// Coordinate ascent, each coordinate by ternary search in its interval.
double climbed(const Decision& decision) {
  std::vector<double> offsets(static_cast<size_t>(decision.count));
  const auto value = [&] { return moved_entropy(decision, [&](size_t j) { return offsets[j]; }); };
  for (int sweep = 0; sweep < 60; ++sweep) {
    for (double& offset : offsets) {
      double low = -decision.tanh_constant, high = decision.tanh_constant;
      for (int i = 0; i < 50; ++i) {
        const double third = (high - low) / 3;
        offset = low + third;
        const double left = value();
        offset = high - third;
        (value() > left ? low : high) += value() > left ? third : -third;
      }
    }
  }
  return value();
}

TEST(EntropyBounds, AgreeWithBruteForce) {
  for (const PolicyShape& shape : {PolicyShape{}, PolicyShape{5, 2.5, 0},
                                   PolicyShape{1, 0.4, 1.0 / 6}, PolicyShape{1, 1, 2}}) {
    const DecisionList list = RnnSpace(6, true).decisions(shape);
    const EntropyBounds bounds = entropy_bounds(list);
    double lowest = 0, highest = 0;
    for (const Decision& decision : list.steps) {
      lowest += lowest_corner(decision);
      highest += climbed(decision);
    }
    EXPECT_NEAR(bounds.lowest, lowest, 1e-12) << shape.tanh_constant;
    EXPECT_NEAR(bounds.highest, highest, 1e-5) << shape.tanh_constant;
    for (uint64_t point = 0; point < 500; ++point) {
      const Random random{1, Stream::test, point};
      double entropy = 0;
      uint64_t draw = 0;
      for (const Decision& decision : list.steps) {
        entropy += moved_entropy(decision, [&](size_t) {
          return (2 * random.uniform53(draw++) - 1) * decision.tanh_constant;
        });
      }
      ASSERT_GE(entropy, bounds.lowest);
      ASSERT_LE(entropy, bounds.highest);
    }
  }
}

TEST(EntropyBounds, HoldForPoliciesOfAnySize) {
  for (const double range : {0.01, 1.0, 20.0}) {
    const Controller controller = controller_of(RnnSpace(9), range, 16, 4);
    const EntropyBounds bounds = entropy_bounds(controller.decisions());
    for (const double entropy : controller.sample(50, Random{}).entropy) {
      EXPECT_GE(entropy, bounds.lowest - 1e-9);
      EXPECT_LE(entropy, bounds.highest + 1e-9);
    }
  }
}

TEST(EntropyBounds, WithoutBoundZeroAndTheSumOfLogs) {
  const EntropyBounds bounds = entropy_bounds(RnnSpace(5).decisions({5, 0, 1.0 / 6}));
  EXPECT_EQ(bounds.lowest, 0);
  EXPECT_NEAR(bounds.highest, std::log(120.0) + 5 * std::log(4.0), 1e-12);
}

// docs/method.md section 8: macro 22.440 to 67.249 (12 layers of 6 ops, 66 skips; C 1.5).
TEST(EntropyBounds, OfTheMacroSpace) {
  Decision op;
  op.tanh_constant = 1.5;
  op.count = 6;
  DecisionList list;
  list.steps.assign(12, op);
  op.count = 2;
  list.steps.insert(list.steps.end(), 66, op);
  const EntropyBounds bounds = entropy_bounds(list);
  EXPECT_NEAR(bounds.lowest, 22.440, 5e-4);
  EXPECT_NEAR(bounds.highest, 67.249, 5e-4);
}

}  // namespace
}  // namespace enas::test
