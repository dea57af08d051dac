// Parameters and multiply-adds from the architecture alone: the published figures (docs/method.md
// sections 2.4, 3.4, 7 and 8), and those of networks that are built.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "nas/macro/cost.h"
#include "nas/micro/cost.h"
#include "tests/nas/policies.h"
#include "tests/nas/refusal.h"

namespace enas {
namespace {

template <class Net>
int64_t built_params(Net& net) {
  int64_t total = 0;
  for (const Parameter& p : net.parameters()) total += p.value.numel();
  return total;
}

TEST(MacroCost, SharedParametersAreThePublishedOnes) {
  EXPECT_EQ(macro_shared_params(MacroSpace(12), {.filters = 36}), 697860);
  EXPECT_EQ(macro_shared_params(MacroSpace(12, {.concat_input = true}), {.filters = 36}), 782028);
}

TEST(MacroCost, PublishedFinalNetwork) {
  const MacroSpace space(24);
  const Architecture arch = space.parse(MacroSpace::published());
  const NetworkCost own = macro_final_cost(space, arch, {.filters = 96});
  const NetworkCost full = macro_final_cost(space, arch, {.filters = 96, .full_conv = true});
  EXPECT_EQ(own.params, 30947424);
  EXPECT_EQ(full.params, 42559392);
  EXPECT_NEAR(static_cast<double>(own.macs), 4.370e9, 5e5);
  EXPECT_NEAR(static_cast<double>(full.macs), 5.646e9, 5e5);
  EXPECT_NEAR(static_cast<double>(macro_final_cost(space, arch, {.filters = 64}).params), 13.77e6,
              5e3);
}

// One operation in every layer and every skip, so that every tensor is reduced.
Architecture uniform_macro(const MacroSpace& space, int32_t op) {
  Architecture arch;
  for (int layer = 0; layer < space.layers(); ++layer) {
    arch.choices.push_back(op);
    arch.choices.insert(arch.choices.end(), static_cast<size_t>(layer), 1);
  }
  return arch;
}

TEST(MacroCost, MultiplyAddsOfTheSearchNetwork) {
  const MacroSpace space(12);
  const auto cost = [&](MacroOp op) {
    const Architecture arch = uniform_macro(space, static_cast<int32_t>(op));
    return macro_child_cost(space, arch, {.filters = 36});
  };
  const auto millions = [&](MacroOp op) { return static_cast<double>(cost(op).macs) / 1e6; };
  EXPECT_NEAR(millions(MacroOp::conv5), 184.6, 0.05);
  EXPECT_NEAR(millions(MacroOp::conv3), 73.1, 0.05);
  EXPECT_NEAR(millions(MacroOp::max_pool), 10.4, 0.05);
  double mean = 0, inner = 0;
  for (int op = 0; op < kMacroOps; ++op) {
    mean += millions(static_cast<MacroOp>(op)) / kMacroOps;
    inner += static_cast<double>(cost(static_cast<MacroOp>(op)).inner_macs) / 1e6 / kMacroOps;
  }
  EXPECT_NEAR(mean, 53.3, 0.05);
  EXPECT_NEAR(inner, 49.8, 0.05);  // without taps on the border
}

TEST(MicroCost, SharedParametersAreThePublishedOnes) {
  EXPECT_EQ(micro_shared_params(MicroSpace(), {.normal_cells = 6, .filters = 20}), 5373140);
  EXPECT_EQ(
      micro_shared_params(MicroSpace(), {.normal_cells = 6, .filters = 20, .reduce_stride2 = true}),
      5558660);
}

TEST(MicroCost, PublishedFinalNetwork) {
  const MicroSpace space;
  const Architecture arch = space.parse(MicroSpace::published());
  MicroFinalOptions options{.normal_cells = 15, .filters = 36, .auxiliary = false};
  const NetworkCost plain = micro_final_cost(space, arch, options);
  EXPECT_EQ(plain.params, 3894372);
  EXPECT_NEAR(static_cast<double>(plain.macs), 0.621e9, 5e5);
  options.auxiliary = true;
  EXPECT_EQ(micro_final_cost(space, arch, options).params, 3894372 + 494848);
}

// Expected multiply-adds, in millions, of a uniform architecture of N = 6, F = 20, by hand. A
// kernel k has k^2 P taps on P pixels, on s x s of them without the border (k s - (k / 2) (k / 2 +
// 1))^2. Of a cell's C channels: 2 edges a node, each with 2/5 of 2 (C taps + C^2 P) for sep3 and
// for sep5; C^2 P a loose end. Node k is loose if both edges of every later node j miss it, each
// with probability (j - 1) / j: together (k / last)^2, for either input (1 / last)^2.
double mean_macs(int nodes, int first_loose, bool border) {
  const double last = nodes + 1;
  double loose = 0;
  for (int k = first_loose; k <= nodes + 1; ++k) loose += std::pow(std::max(k, 1) / last, 2);
  const auto taps = [&](int k, double side) {
    return std::pow(k * side - (border ? 0 : k / 2 * (k / 2 + 1)), 2);
  };
  const auto cell = [&](double c, double side) {
    const double point = c * c * side * side;
    const double edge = 2 * (c * (taps(3, side) + taps(5, side)) + 2 * point) / kMicroOps;
    return 2 * nodes * edge + loose * point;
  };
  const double stem = 3 * 60 * taps(3, 32), head = 80 * 10;
  // Layers 0 and 1 calibrate the stem's 60 channels, 0 both inputs; reductions reduce two inputs.
  const double inputs = 3 * 60 * 20 * 1024 + 2 * 20 * 40 * 256 + 2 * 40 * 80 * 64;
  return (stem + inputs + 2 * cell(20, 32) + 3 * cell(40, 16) + 3 * cell(80, 8) + head) / 1e6;
}

// docs/method.md section 8: 51.1 M without the border. Its 52.4 M with it takes only computed nodes
// for loose ends (2.5 a cell); by section 3.1 an input that nobody reads is one too (2.556 a cell),
// which the networks follow: 52.6 M.
TEST(MicroCost, MeanMultiplyAddsOfTheSearchNetwork) {
  EXPECT_NEAR(mean_macs(5, 0, false), 51.1, 0.05);
  EXPECT_NEAR(mean_macs(5, 2, true), 52.4, 0.05);
  EXPECT_NEAR(mean_macs(5, 0, true), 52.591, 5e-4);
  const MicroChildOptions options{.normal_cells = 6, .filters = 20};
  struct Mean {
    double all = 0, inner = 0, squares = 0;
    Mean(const MicroSpace& space, const std::vector<Architecture>& archs,
         const MicroChildOptions& options) {
      const auto n = static_cast<double>(archs.size());
      for (const Architecture& arch : archs) {
        const NetworkCost cost = micro_child_cost(space, arch, options);
        const double macs = static_cast<double>(cost.macs) / 1e6;
        all += macs / n, squares += macs * macs / n;
        inner += static_cast<double>(cost.inner_macs) / 1e6 / n;
      }
    }
  };
  const MicroSpace tiny(1), space;
  const DecisionList list = tiny.decisions(MicroSpace::policy_shape());
  const Mean exact(tiny, test::enumerate(list), options);
  EXPECT_NEAR(exact.all, mean_macs(1, 0, true), 1e-9);
  EXPECT_NEAR(exact.inner, mean_macs(1, 0, false), 1e-9);
  constexpr int64_t kSamples = 4000;
  const Mean sampled(
      space, uniform_architectures(space.decisions({}), kSamples, Random{1, Stream::test, 0}),
      options);
  const double error = std::sqrt((sampled.squares - sampled.all * sampled.all) / kSamples);
  EXPECT_LT(error, 0.2);
  EXPECT_NEAR(sampled.all, mean_macs(5, 0, true), 4 * error);
  EXPECT_NEAR(sampled.inner, mean_macs(5, 0, false), 4 * error);
}

// Of every architecture and switch, the parameters of the network that is built.
TEST(MacroCost, IsThatOfTheNetworksThatAreBuilt) {
  for (const bool concat : {false, true}) {
    const MacroSpace space(7, {.concat_input = concat});
    const MacroChildOptions options{.filters = 5};
    MacroChild shared(space, options, 1);
    EXPECT_EQ(built_params(shared), macro_shared_params(space, options));
    for (uint64_t seed = 1; seed <= 10; ++seed) {
      const Architecture arch = test::random_architecture(space, seed);
      MacroChild child(space, options, 1, DType::f32, &arch);
      EXPECT_EQ(built_params(child), macro_child_cost(space, arch, options).params);
      MacroFinal final(space, arch, {.filters = 4}, 1);
      EXPECT_EQ(built_params(final), macro_final_cost(space, arch, {.filters = 4}).params);
    }
  }
}

TEST(MicroCost, IsThatOfTheNetworksThatAreBuilt) {
  const MicroSpace space(3);
  for (const bool stride2 : {false, true}) {
    const MicroChildOptions options{
        .normal_cells = 4, .filters = 5, .auxiliary = stride2, .reduce_stride2 = stride2};
    MicroChild shared(space, options, 1);
    EXPECT_EQ(built_params(shared), micro_shared_params(space, options));
    for (uint64_t seed = 1; seed <= 10; ++seed) {
      const Architecture arch = test::random_architecture(space, seed);
      MicroChild child(space, options, 1, DType::f32, &arch);
      EXPECT_EQ(built_params(child), micro_child_cost(space, arch, options).params);
      const MicroFinalOptions final_options{.normal_cells = 3, .filters = 4};
      MicroFinal final(space, arch, final_options, 1);
      EXPECT_EQ(built_params(final), micro_final_cost(space, arch, final_options).params);
    }
  }
}

}  // namespace
}  // namespace enas
