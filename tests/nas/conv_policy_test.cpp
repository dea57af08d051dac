// The policy of the convolutional spaces: sample and log_prob are one, its gradients, its bounds,
// its first probabilities, and where the skip penalty leads (docs/method.md sections 2.2, 3.3, 8).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "nas/controller.h"
#include "nas/macro/space.h"
#include "nas/micro/space.h"
#include "nn/adam.h"
#include "ops/pointwise.h"
#include "tests/nas/policies.h"

namespace enas::test {
namespace {

struct Policy {
  const char* name;
  DecisionList list;
  int operations;
};

std::vector<Policy> policies(int layers, int nodes) {
  const PolicyShape macro = MacroSpace::policy_shape(), micro = MicroSpace::policy_shape();
  PolicyShape biased = micro, strong = macro;
  biased.start_bias = 1;
  biased.distance_bias = 0.1;
  biased.temperature = 2;
  strong.temperature = 5;
  strong.tanh_constant = 2.5;
  return {{"macro", MacroSpace(layers).decisions(macro), kMacroOps},
          {"macro, anchor-shift", MacroSpace(layers, {.anchor_shift = true}).decisions(macro),
           kMacroOps},
          {"macro, paper", MacroSpace(layers, {.concat_input = true}).decisions(strong), kMacroOps},
          {"macro, not bounded", MacroSpace(layers).decisions({1, 0, 0}), kMacroOps},
          {"micro", MicroSpace(nodes).decisions(micro), kMicroOps},
          {"micro, biased", MicroSpace(nodes).decisions(biased), kMicroOps}};
}

Controller make(const Policy& policy, double range, DType dtype, int hidden = 24) {
  return Controller(policy.list, policy.operations, {hidden, range}, 7, dtype);
}

const ScoreOptions kAll{.entropy = true, .skip_penalty = SkipPenalty{}};

TEST(ConvPolicy, SampleAndLogProbAreOnePolicy) {
  for (const Policy& policy : policies(6, 4)) {
    for (const double range : {0.1, 0.5, 1.0}) {
      for (const DType dtype : {DType::f64, DType::f32}) {
        Controller controller = make(policy, range, dtype);
        const Rollout rollout = controller.sample(10, Random{3, Stream::test, 1});
        const std::vector<Architecture> list = architectures_of(rollout);
        for (size_t s = 0; s < list.size(); ++s) {
          Tape tape;
          const Tape::NoGrad no_grad(tape);
          const Controller::Score score = controller.log_prob(tape, list[s], kAll);
          const double bound = dtype == DType::f64 ? 1e-10 : 1e-6;
          const auto near = [&](const Var& got, double want) {
            const double size = std::max(1.0, std::fabs(want));
            EXPECT_NEAR(got.value().item(), want, bound * size) << policy.name << ' ' << range;
          };
          near(score.log_prob, rollout.log_prob[s]);
          near(score.entropy, rollout.entropy[s]);
        }
      }
    }
  }
}

// Central differences of a weighted sum of all that a score has.
void check_gradients(Controller& controller, const Architecture& arch, const ScoreOptions& want) {
  const auto value = [&](Tape& tape) {
    const Controller::Score score = controller.log_prob(tape, arch, want);
    Var total = add(scale(score.log_prob, 0.7), scale(score.entropy, -0.4));
    if (score.skip_kl.value().defined()) total = add(total, scale(score.skip_kl, 1.3));
    return total;
  };
  Tape tape;
  tape.backward(value(tape));
  for (Parameter& p : controller.parameters()) {
    ASSERT_TRUE(p.grad.defined()) << p.name;
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
      largest = std::max(largest, std::fabs(slope));
      worst = std::max(worst, std::fabs(p.grad.item(i) - slope));
    }
    EXPECT_GT(largest, 1e-4) << p.name << ": the gradient does not reach it";
    EXPECT_LE(worst, 1e-8 * std::max(1.0, largest)) << p.name;
  }
}

TEST(ConvPolicy, GradientOfEveryParameter) {
  for (const Policy& policy : policies(4, 2)) {
    SCOPED_TRACE(policy.name);
    Controller controller = make(policy, 0.8, DType::f64, 5);
    const auto list = architectures_of(controller.sample(2, Random{5, Stream::test, 1}));
    for (const Architecture& arch : list) {
      check_gradients(controller, arch, kAll);
      check_gradients(controller, arch, {.entropy = true, .skip_penalty = SkipPenalty{0.3, true}});
    }
  }
}

TEST(ConvPolicy, ProbabilitiesSumToOne) {
  for (const Policy& policy : {policies(3, 1)[0], policies(2, 1)[2]}) {
    Controller controller = make(policy, 1.0, DType::f64, 8);
    double total = 0;
    for (const Architecture& arch : enumerate(policy.list)) {
      Tape tape;
      const Tape::NoGrad no_grad(tape);
      total += std::exp(controller.log_prob(tape, arch).log_prob.value().item());
    }
    EXPECT_NEAR(total, 1, 1e-12) << policy.name;
  }
}

// docs/method.md section 8.
TEST(ConvPolicy, EntropyBoundsAreThePublishedOnes) {
  const auto expect = [](const DecisionList& list, double highest, double lowest) {
    const EntropyBounds bounds = entropy_bounds(list);
    EXPECT_NEAR(bounds.highest, highest, 5e-4);
    EXPECT_NEAR(bounds.lowest, lowest, 5e-4);
  };
  expect(MicroSpace().decisions(MicroSpace::policy_shape()), 58.506, 45.168);
  expect(MacroSpace(12).decisions(MacroSpace::policy_shape()), 67.249, 22.440);
}

// The least entropy of corners of the logit box with `high` candidates at +C, the others at -C, in
// every decision; of a decision between two or more, whichever candidates these are.
double corner_entropy(const DecisionList& list, size_t most_high) {
  double total = 0;
  for (const Decision& decision : list.steps) {
    if (decision.kind == Decision::Kind::advance) continue;
    const auto n = static_cast<size_t>(decision.count);
    std::vector<double> centre = offsets_of(decision);
    centre.resize(n, 0);
    double least = std::log(static_cast<double>(n));
    for (size_t corner = 1; corner + 1 < size_t{1} << n; ++corner) {
      if (static_cast<size_t>(__builtin_popcountll(corner)) > most_high) continue;
      double sum = 0, weighted = 0;  // H = log sum e^l - sum l e^l / sum e^l
      for (size_t j = 0; j < n; ++j) {
        const double up = corner >> j & 1 ? 1 : -1, logit = centre[j] + up * decision.tanh_constant;
        sum += std::exp(logit), weighted += logit * std::exp(logit);
      }
      least = std::min(least, std::log(sum) - weighted / sum);
    }
    total += least;
  }
  return total;
}

// docs/method.md section 8: 45.168 takes two operations at +C; 45.608 is what one can reach. No
// other number of them goes lower.
TEST(ConvPolicy, LeastEntropyNeedsTwoOperationsAtTheirBound) {
  const DecisionList list = MicroSpace().decisions(MicroSpace::policy_shape());
  EXPECT_NEAR(corner_entropy(list, 1), 45.608, 5e-4);
  EXPECT_NEAR(corner_entropy(list, 2), 45.168, 5e-4);
  EXPECT_NEAR(corner_entropy(list, 6), entropy_bounds(list).lowest, 1e-12);
}

// The entropy where all weights are zero but the learned bias.
double first_entropy(const DecisionList& list, int operations) {
  const Controller controller(list, operations, {8, 0}, 1, DType::f64);
  return controller.sample(1, Random{}).entropy[0];
}

TEST(ConvPolicy, FirstEntropyOfTheMicroSpace) {
  PolicyShape official = MicroSpace::policy_shape();
  official.start_bias = 10;
  EXPECT_NEAR(first_entropy(MicroSpace().decisions(MicroSpace::policy_shape()), 5), 58.195, 5e-4);
  EXPECT_NEAR(first_entropy(MicroSpace().decisions(official), 5), 57.187, 5e-4);
}

double log_prob(Controller& controller, const Architecture& arch) {
  Tape tape;
  const Tape::NoGrad no_grad(tape);
  return controller.log_prob(tape, arch).log_prob.value().item();
}

// The distribution of choice `at`, the others as they are in arch.
std::vector<double> distribution(Controller& controller, Architecture arch, size_t at, int32_t n) {
  std::vector<double> p;
  double total = 0;
  for (arch.choices[at] = 0; arch.choices[at] < n; ++arch.choices[at]) {
    p.push_back(std::exp(log_prob(controller, arch)));
    total += p.back();
  }
  for (double& value : p) value /= total;
  return p;
}

// docs/method.md section 3.3, for the last operation of each cell of one node.
TEST(ConvPolicy, FirstProbabilitiesOfTheMicroSpace) {
  const auto expect = [](double start_bias, size_t at, double separable, double other) {
    PolicyShape shape = MicroSpace::policy_shape();
    shape.start_bias = start_bias;
    Controller controller(MicroSpace(1).decisions(shape), kMicroOps, {8, 0}, 1, DType::f64);
    const std::vector<double> p =
        distribution(controller, {{0, 0, 0, 0, 0, 0, 0, 0}}, at, kMicroOps);
    for (size_t op = 0; op < p.size(); ++op) EXPECT_NEAR(p[op], op < 2 ? separable : other, 5e-4);
  };
  expect(0, 3, .262, .159);
  expect(0, 7, .2, .2);
  expect(10, 3, .315, .123);
  expect(10, 7, .254, .164);
}

// By hand at zero weights: each of the 0 + 1 + 2 + 3 skips has P = 1/2, and both sigmoids are 1/2.
TEST(ConvPolicy, SkipPenaltyAtZeroWeights) {
  const double one = 0.5 * std::log(0.5 / 0.6) + 0.5 * std::log(0.5 / 0.4);
  Controller controller(MacroSpace(4).decisions(MacroSpace::policy_shape()), kMacroOps, {8, 0}, 1,
                        DType::f64);
  const Architecture arch = MacroSpace(4).parse("0 1 0 2 1 1 3 0 0 1");
  for (const bool sigmoids : {false, true}) {
    Tape tape;
    const Controller::Score score =
        controller.log_prob(tape, arch, {.skip_penalty = SkipPenalty{0.4, sigmoids}});
    EXPECT_NEAR(score.skip_kl.value().item(), one * (1 + 2 + 3) / 3, 1e-12);
  }
  Tape tape;
  EXPECT_FALSE(controller.log_prob(tape, arch).skip_kl.value().defined());
}

// docs/method.md section 8: the penalty alone leads to P(skip) = 0.4 (logits -+0.203), with
// kl-sigmoid to 0.308 (-0.405).
TEST(ConvPolicy, SkipPenaltyLeadsToItsOptimum) {
  for (const bool sigmoids : {false, true}) {
    Controller controller(MacroSpace(3).decisions(MacroSpace::policy_shape()), kMacroOps, {8, 0.1},
                          1, DType::f64);
    Adam adam;
    const Architecture arch = MacroSpace(3).parse("0 1 0 2 1 1");
    for (int step = 0; step < 400; ++step) {
      Tape tape;
      const Var loss =
          controller.log_prob(tape, arch, {.skip_penalty = SkipPenalty{0.4, sigmoids}}).skip_kl;
      tape.backward(loss);
      adam.step(tape.parameters(), 0.02, loss.value());
    }
    for (const size_t bit : {size_t{2}, size_t{4}, size_t{5}}) {
      EXPECT_NEAR(distribution(controller, arch, bit, 2)[1], sigmoids ? 0.308 : 0.4, 1e-3);
    }
  }
}

}  // namespace
}  // namespace enas::test
