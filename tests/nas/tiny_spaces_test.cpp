// A tiny space of each kind as a whole, every architecture of it: the networks built for it alone
// compute what plain loops compute, with the parameters and multiply-adds that its cost says; it
// trains a step on shared weights; the policy's probabilities sum to 1, and it is sampled as often
// as its own says. Macro: 3 layers, both reductions. Micro: one node a cell, N = 1.
#include <map>

#include "nas/macro/cost.h"
#include "nas/micro/cost.h"
#include "nas/search.h"
#include "tests/nas/image_networks.h"
#include "tests/nas/naive_networks.h"
#include "tests/nas/policies.h"

namespace enas::test {
namespace {

constexpr int64_t kFilters = 2, kClasses = 3, kSize = 4;

// The network is what `naive` says, and costs what it does.
template <class Net, class NaiveNet, class Arch>
void expect_as_loops(Net& net, NaiveNet naive, const Arch& decoded, const Architecture& arch,
                     const NetworkCost& cost) {
  const Tensor images = random_images(2, kSize, kSize);
  int64_t macs = 0;
  naive.macs = &macs;
  const std::vector<double> want = naive.logits(decoded, images);
  Tape tape;
  const Tape::NoGrad no_grad(tape);
  const Tensor got = net.forward(tape, arch, images, {}).logits.value();
  for (size_t i = 0; i < want.size(); ++i)
    ASSERT_NEAR(got.item(static_cast<int64_t>(i)), want[i], 1e-9) << net.space().to_string(arch);
  ASSERT_EQ(macs, cost.macs) << net.space().to_string(arch);
  ASSERT_EQ(net.parameters().count(), cost.params) << net.space().to_string(arch);
}

class TinyMacro : public testing::TestWithParam<bool> {
 protected:
  MacroSpace space() const { return MacroSpace(3, {.concat_input = GetParam()}); }
  static MacroChildOptions options() {
    MacroChildOptions options;
    options.filters = kFilters, options.classes = kClasses;
    return options;
  }
};
INSTANTIATE_TEST_SUITE_P(Inputs, TinyMacro, testing::Bool(),
                         [](const auto& concat) { return concat.param ? "concat" : "plain"; });

TEST_P(TinyMacro, EveryNetworkIsWhatPlainLoopsAre) {
  const auto all = every_architecture(space());
  ASSERT_EQ(all.size(), 1728u);  // 6^3 2^3
  MacroFinalOptions final;
  final.filters = kFilters, final.classes = kClasses;
  for (const Architecture& arch : all) {
    const MacroArch decoded = space().decode(arch);
    MacroChild child(space(), options(), 1, DType::f64, &arch);
    expect_as_loops(child, NaiveMacro{child.parameters(), GetParam()}, decoded, arch,
                    macro_child_cost(space(), arch, options(), kSize));
    MacroFinal net(space(), arch, final, 1, DType::f64);
    expect_as_loops(net, NaiveMacro{net.parameters(), GetParam(), true}, decoded, arch,
                    macro_final_cost(space(), arch, final, kSize));
    if (HasFatalFailure()) return;
  }
}

class TinyMicro : public testing::TestWithParam<bool> {
 protected:
  static MicroChildOptions options() {
    MicroChildOptions options;
    options.normal_cells = 1, options.filters = kFilters, options.classes = kClasses;
    options.image_size = kSize, options.reduce_stride2 = GetParam();
    return options;
  }
  const MicroSpace space_{1};
};
INSTANTIATE_TEST_SUITE_P(Strides, TinyMicro, testing::Bool(),
                         [](const auto& two) { return two.param ? "stride2" : "stride1"; });

TEST_P(TinyMicro, EveryNetworkIsWhatPlainLoopsAre) {
  const auto all = every_architecture(space_);
  ASSERT_EQ(all.size(), 10'000u);  // (2 5)^4
  MicroFinalOptions final;
  final.normal_cells = 1, final.filters = kFilters, final.classes = kClasses;
  final.image_size = kSize, final.auxiliary = false;
  for (const Architecture& arch : all) {
    const MicroArch decoded = space_.decode(arch);
    MicroChild child(space_, options(), 1, DType::f64, &arch);
    expect_as_loops(child, NaiveMicro{child.parameters(), 1, false, GetParam()}, decoded, arch,
                    micro_child_cost(space_, arch, options()));
    if (GetParam()) {
      MicroFinal net(space_, arch, final, 1, DType::f64);
      expect_as_loops(net, NaiveMicro{net.parameters(), 1, true}, decoded, arch,
                      micro_final_cost(space_, arch, final));
    }
    if (HasFatalFailure()) return;
  }
}

TEST_P(TinyMicro, EveryArchitectureTrainsAStep) {
  MicroChild child(space_, options(), 1);
  ImageTask<MicroChild> task(child, {.reward_batch = 4}, random_image_set(8, kSize, kClasses));
  const ImageBatch batch{random_images(3, kSize, kSize, DType::f32),
                         Tensor::from_indices({0, 1, 2}, {3})};
  Sgd sgd({.momentum = 0.9});
  Tape tape;
  uint64_t step = 0;
  for (const Architecture& arch : every_architecture(space_)) {
    const StepReport report = shared_step(tape, task, {&arch, 1}, batch, step++, sgd, 1e-5);
    ASSERT_TRUE(report.finite() && report.loss() > 0 && report.grad_norm() > 0)
        << space_.to_string(arch);
  }
}

struct Policy {
  const char* name;
  DecisionList list;
  int operations;
  int64_t samples;
};

std::vector<Policy> policies() {
  const PolicyShape macro = MacroSpace::policy_shape();
  PolicyShape biased = MicroSpace::policy_shape();
  biased.start_bias = 1;
  return {{"macro", MacroSpace(2).decisions(macro), kMacroOps, 50'000},
          {"macro, concat-input", MacroSpace(2, {.concat_input = true}).decisions(macro), kMacroOps,
           50'000},
          {"micro", MicroSpace(1).decisions(biased), kMicroOps, 300'000}};
}

// Chi-square of the counts: rare architectures are pooled to expect five. Its distance from its
// mean in standard deviations.
double excess(const std::vector<double>& expected, const std::vector<int64_t>& counts) {
  double chi2 = 0, cells = -1, rare_expected = 0, rare_counts = 0;
  const auto add = [&](double e, double n) { chi2 += (n - e) * (n - e) / e, cells += 1; };
  for (size_t i = 0; i < expected.size(); ++i) {
    const auto count = static_cast<double>(counts[i]);
    if (expected[i] >= 5) {
      add(expected[i], count);
      continue;
    }
    rare_expected += expected[i], rare_counts += count;
    if (rare_expected < 5) continue;
    add(rare_expected, rare_counts);
    rare_expected = rare_counts = 0;
  }
  return (chi2 - cells) / std::sqrt(2 * cells);
}

TEST(TinyPolicies, ProbabilitiesSumToOneAndAreTheFrequencies) {
  for (const Policy& policy : policies()) {
    Controller controller(policy.list, policy.operations, {8, 1.0}, 7, DType::f64);
    const std::vector<Architecture> all = enumerate(policy.list);
    Tape tape;
    const Tape::NoGrad no_grad(tape);
    const Tensor log_prob = controller.log_probs(tape, all).log_prob.value();
    std::map<Architecture, size_t> place;
    std::vector<double> expected;
    double total = 0, least = 1, most = 0;
    for (size_t i = 0; i < all.size(); ++i) {
      const double p = std::exp(log_prob.item(static_cast<int64_t>(i)));
      place[all[i]] = i;
      expected.push_back(p * static_cast<double>(policy.samples));
      total += p, least = std::min(least, p), most = std::max(most, p);
    }
    EXPECT_NEAR(total, 1, 1e-12) << policy.name;
    EXPECT_GT(most, 3 * least) << policy.name << ": nearly uniform, which shows little";
    std::vector<int64_t> counts(all.size(), 0);
    const Rollout rollout = controller.sample(policy.samples, Random{3, Stream::test, 1});
    for (const Architecture& arch : architectures_of(rollout)) ++counts[place.at(arch)];
    EXPECT_LT(std::fabs(excess(expected, counts)), 4) << policy.name;
    // The same counts do not fit a policy that differs a little.
    std::vector<double> flatter;
    double sum = 0;
    for (const double e : expected) sum += flatter.emplace_back(std::pow(e, 0.9));
    for (double& e : flatter) e *= static_cast<double>(policy.samples) / sum;
    EXPECT_GT(excess(flatter, counts), 8) << policy.name;
  }
}

}  // namespace
}  // namespace enas::test
