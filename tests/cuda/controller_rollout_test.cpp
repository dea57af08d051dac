// The rollout kernel samples the CPU's architectures, for several spaces and sizes.
#include "ops/controller_rollout.h"

#include <gtest/gtest.h>

#include "cuda/runtime.h"
#include "nas/macro/space.h"
#include "nas/micro/space.h"
#include "nas/rnn/space.h"
#include "tests/cuda/compare.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

using Kind = Decision::Kind;
using From = Decision::From;

ControllerWeights weights_of(int64_t h, int64_t ops, DType dtype, const DecisionList& list = {}) {
  const auto draw = [&](const Shape& shape, uint64_t step) {
    return random_tensor(shape, step, dtype);
  };
  ControllerWeights w{draw({1, h}, 1), draw({ops, h}, 2), draw({2 * h, 4 * h}, 3),
                      draw({h, h}, 4), draw({h, h}, 5),   draw({h, 1}, 6)};
  if (list.op_matrix) w.output = draw({h, ops}, 7);
  if (!list.start_bias.empty()) w.bias = draw({1, ops}, 8);
  return w;
}
ControllerWeights on_device(const ControllerWeights& w) {
  const auto to = [](const Tensor& t) { return t.defined() ? t.to(Device::cuda) : Tensor(); };
  return {to(w.start), to(w.embedding), to(w.lstm),   to(w.key),
          to(w.query), to(w.score),     to(w.output), to(w.bias)};
}

// Two cells of a convolutional space: two steps that only leave anchors, then for each node two
// inputs and two operations, and a step that leaves its anchor.
DecisionList cells_list() {
  DecisionList list;
  const Decision input{Kind::index, 0, From::start, 5, 1.1}, op{Kind::op, 5, From::anchor, 5, 0.44};
  const Decision leave{Kind::advance, 0, From::embedding, 1, 0, 0, true};
  int32_t anchors = 0;
  for (int cell = 0; cell < 2; ++cell) {
    for (int k = 0; k < 2; ++k, ++anchors)
      list.steps.push_back({Kind::advance, 0, From::start, 1, 0, 0, true});
    for (int node = 0; node < 3; ++node, ++anchors) {
      for (const bool first : {true, false}) {
        list.steps.push_back(input);
        list.steps.back().count = anchors;
        list.steps.back().input = first ? From::start : From::anchor;
      }
      list.steps.push_back(op);
      list.steps.push_back(op);
      list.steps.back().input = From::embedding;
      list.steps.push_back(leave);
    }
  }
  return list;
}

// More candidates than a warp has lanes, without bounds; a distance bias so strong that some
// probabilities are zero.
DecisionList wide_list() {
  DecisionList list;
  list.zero_anchors = 70;
  list.steps = {{Kind::op, 45, From::start, 0.5, 0, 0, true},
                {Kind::index, 71, From::embedding, 1, 0, 0.5, false},
                {Kind::op, 33, From::anchor, 1, 2.5, 0, false}};
  return list;
}

struct Space {
  const char* name;
  DecisionList list;
  int64_t hidden, ops, samples;
};
std::vector<Space> spaces() {
  return {{"recurrent", RnnSpace(8).decisions({}), 64, 4, 2},
          {"recurrent, searched first", RnnSpace(3, true).decisions({}), 20, 4, 12},
          {"recurrent, not bounded", RnnSpace(4).decisions({1, 0, 0}), 33, 4, 6},
          {"two cells", cells_list(), 7, 5, 10},
          {"more gates than threads", RnnSpace(2).decisions({}), 131, 4, 1},
          {"wide", wide_list(), 9, 45, 20},
          {"macro", MacroSpace(6).decisions(MacroSpace::policy_shape()), 19, 6, 8},
          {"macro, candidates keyed by other layers",
           MacroSpace(4, {.concat_input = true}).decisions({5, 2.5}), 8, 6, 12},
          {"macro, more skips than threads",
           MacroSpace(MacroSpace::kMostLayers).decisions({1, 0, 0}), 3, 6, 1},
          {"micro", MicroSpace().decisions(MicroSpace::policy_shape()), 16, 5, 5},
          {"micro, distances counted", MicroSpace(3).decisions({5, 0, 0.2, 1, 2}), 5, 5, 8},
          {"one unit", RnnSpace(2).decisions({}), 1, 4, 20},
          {"no decision", {}, 4, 3, 2}};
}

void expect_same(const Rollout& got, const Rollout& want) {
  ASSERT_EQ(got.actions, want.actions);
  for (size_t s = 0; s < want.log_prob.size(); ++s) {
    ASSERT_NEAR(got.log_prob[s], want.log_prob[s], 1e-11) << s;
    ASSERT_NEAR(got.entropy[s], want.entropy[s], 1e-11) << s;
    ASSERT_NEAR(got.sampled_entropy[s], want.sampled_entropy[s], 1e-11) << s;
  }
}

TEST(CudaControllerRollout, SamplesTheArchitecturesOfTheCpu) {
  for (const Space& space : spaces()) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      SCOPED_TRACE(testing::Message() << space.name << ' ' << dtype);
      const ControllerWeights weights = weights_of(space.hidden, space.ops, dtype, space.list);
      const ControllerWeights there = on_device(weights);
      const Random random{5, Stream::policy_sample, 3};
      const Rollout want = controller_rollout(weights, space.list, space.samples, random, 11);
      Rollout first;
      for (int run = 0; run < cuda::test_runs(); ++run) {
        cuda::prepare_test_run(run);
        const Rollout got = controller_rollout(there, space.list, space.samples, random, 11);
        expect_same(got, want);
        if (run == 0) first = got;
        ASSERT_EQ(got.log_prob, first.log_prob);  // the same bits
        ASSERT_EQ(got.entropy, first.entropy);
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

TEST(CudaControllerRollout, TakesOneLaunchAndOneWait) {
  const ControllerWeights there = on_device(weights_of(8, 4, DType::f32));
  const DecisionList list = RnnSpace(3).decisions({});
  const cuda::Counters before = cuda::counters();
  const Rollout out = controller_rollout(there, list, 300, {1, Stream::test, 0});
  EXPECT_EQ(cuda::counters().launches, before.launches + 1);
  EXPECT_EQ(cuda::counters().waits, before.waits + 1);
  EXPECT_EQ(out.actions.size(), 300u * 6);
  EXPECT_EQ(controller_rollout(there, list, 0, {}).actions.size(), 0u);
  EXPECT_EQ(cuda::counters().launches, before.launches + 1);
}

TEST(CudaControllerRollout, RefusesLogitsThatAreNotFinite) {
  const std::vector<std::pair<DecisionList, int64_t>> lists = {
      {RnnSpace(3).decisions({}), 4},
      {RnnSpace(3, true).decisions({}), 4},
      {MacroSpace(3).decisions(MacroSpace::policy_shape()), 6},
      {MicroSpace(1).decisions(MicroSpace::policy_shape()), 5}};
  for (const auto& [list, ops] : lists) {
    for (const double bad : {double{NAN}, double{INFINITY}}) {
      for (const bool late : {false, true}) {  // late: in the skips of the macro space alone
        ControllerWeights weights = weights_of(6, ops, DType::f32, list);
        (late ? weights.query : weights.lstm).fill(bad);
        if (late && bad == INFINITY) continue;  // attention is bounded
        try {
          controller_rollout(on_device(weights), list, 3, {});
          ADD_FAILURE() << "took " << bad;
        } catch (const Error& error) {
          EXPECT_EQ(error.kind(), ErrorKind::diverged) << error.what();
        }
      }
    }
  }
}

TEST(CudaControllerRollout, RefusesWeightsOfBothDevices) {
  ControllerWeights there = on_device(weights_of(6, 4, DType::f32));
  there.key = there.key.to(Device::cpu);
  EXPECT_THROW(controller_rollout(there, RnnSpace(3).decisions({}), 1, {}), Error);
}

}  // namespace
}  // namespace enas::test
