// The steps of both phases (nas/search.h): several architectures an update, a step that is not
// finite, threads, and what a reward depends on.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "tensor/thread_pool.h"
#include "tests/nas/small_task.h"

namespace enas::test {
namespace {

using Values = std::map<std::string, std::vector<double>>;

Values values_of(const ParameterStore& parameters) {
  Values values;
  for (const Parameter& p : parameters) values[p.name] = p.value.to_vector();
  return values;
}

// Gradients, state and cross-entropy of one architecture alone, with the masks of draw `draw`.
struct Single {
  Single(const Architecture& arch, uint64_t draw) {
    SmallTask small(full_options(), 3, DType::f64);
    Tape tape;
    tape.backward(small.task.train_loss(tape, arch, small.window(), draw));
    cross_entropy = small.task.last_cross_entropy().read().loss();
    for (const Parameter* p : tape.parameters()) gradients[p->name] = p->grad.to_vector();
    const Tensor open = Tensor::full({kGateSize}, 1, DType::f64);
    small.task.finish_step(open);
    state = bytes_of(small.task.state());
  }
  Values gradients;
  double cross_entropy = 0;
  std::string state;
};

// With rate 1 and neither momentum nor clipping a step takes off its gradient.
TEST(SharedStep, GradientOfTwoIsTheMeanOfBoth) {
  const auto archs = random_architectures(RnnSpace(3), 12);
  for (size_t pair = 0; pair < archs.size(); pair += 2) {
    SmallTask small(full_options(), 3, DType::f64);
    const uint64_t step = 4;
    const Single one(archs[pair], 2 * step), two(archs[pair + 1], 2 * step + 1);
    const Values before = values_of(small.child.parameters());
    Sgd sgd;
    Tape tape;
    const StepReport report =
        shared_step(tape, small.task, {&archs[pair], 2}, small.window(), step, sgd, 1);
    ASSERT_TRUE(report.finite());
    std::set<std::string> used, either;
    for (const Parameter* p : tape.parameters()) used.insert(p->name);
    EXPECT_EQ(used.size(), tape.parameters().size());  // each once
    for (const Single* single : {&one, &two})
      for (const auto& [name, gradient] : single->gradients) either.insert(name);
    EXPECT_EQ(used, either);
    for (const auto& [name, after] : values_of(small.child.parameters())) {
      for (size_t i = 0; i < after.size(); ++i) {
        double mean = 0;
        for (const Single* single : {&one, &two}) {
          const auto found = single->gradients.find(name);
          if (found != single->gradients.end()) mean += found->second[i] / 2;
        }
        EXPECT_NEAR(before.at(name)[i] - after[i], mean, 1e-12) << name << " element " << i;
      }
    }
    EXPECT_EQ(bytes_of(small.task.state()), one.state);  // the first one's is carried on
    EXPECT_NEAR(small.task.last_cross_entropy().read().loss(),
                (one.cross_entropy + two.cross_entropy) / 2, 1e-12);
  }
}

// Steps with a bad value in one weight leave every bit; with the value mended training goes on as
// from a zero state.
void expect_skipped(const std::string& name, double bad, bool dense) {
  SCOPED_TRACE(name + " " + std::to_string(bad) + (dense ? " dense" : ""));
  SmallTask small(full_options());
  const Architecture arch = small.child.space().parse("0 0 1 3 0 1");
  Sgd sgd({.momentum = 0.9, .clip = 0.25, .decay = 1e-4, .dense = dense});
  Tape tape;
  const auto step = [&](uint64_t number) {
    return shared_step(tape, small.task, {&arch, 1}, small.window(5), number, sgd, 0.5);
  };
  ASSERT_TRUE(step(0).finite());
  EXPECT_NE(bytes_of(small.task.state()), bytes_of(small.child.zero_state(4)));
  Tensor& value = small.child.parameters().get(name).value;
  const double good = value.item(3);
  value.data<float>()[3] = static_cast<float>(bad);
  const auto weights = bytes_of(small.child.parameters()), slots = bytes_of(sgd);
  const StepReport report = step(1);
  EXPECT_FALSE(report.finite());
  EXPECT_EQ(report.gate().item(kGateFinite), 0);
  EXPECT_EQ(bytes_of(small.child.parameters()), weights);
  EXPECT_EQ(bytes_of(sgd), slots);
  EXPECT_EQ(bytes_of(small.task.state()), bytes_of(small.child.zero_state(4)));
  value.data<float>()[3] = static_cast<float>(good);
  EXPECT_TRUE(step(2).finite());
}

TEST(SharedStep, AStepThatIsNotFiniteChangesNothing) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  for (const bool dense : {false, true}) {
    for (const char* name : {"embedding", "cell.input", "cell.edge.1.0.tanh",
                             "cell.edge.2.1.identity", "cell.edge.3.0.relu"}) {
      for (const double bad : {nan, inf, -inf}) expect_skipped(name, bad, dense);
    }
  }
}

// The state of an unfinished or skipped step is not carried into the next.
TEST(SharedStep, ASkippedStepIsFollowedByOneFromAZeroState) {
  const Architecture arch = RnnSpace(3).parse("0 0 1 3 0 1");
  const auto after = [&](bool with_earlier_steps) {
    SmallTask small(full_options());
    Sgd sgd;
    Tape tape;
    if (with_earlier_steps) {
      shared_step(tape, small.task, {&arch, 1}, small.window(), 0, sgd, 0);  // rate 0: weights stay
      Tensor& value = small.child.parameters().get("cell.input").value;
      const float good = value.data<float>()[0];
      value.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
      shared_step(tape, small.task, {&arch, 1}, small.window(5), 1, sgd, 1);
      value.data<float>()[0] = good;
    }
    shared_step(tape, small.task, {&arch, 1}, small.window(10), 2, sgd, 1);
    return bytes_of(small.child.parameters());
  };
  EXPECT_EQ(after(true), after(false));
}

// Large enough that the kernels cut their work into chunks.
std::map<std::string, std::string> search_bytes(int threads) {
  set_thread_count(threads);
  RnnChildOptions options = full_options();
  options.vocabulary = 600;
  options.hidden = 64;
  options.init_range = 0.1;
  const auto train = random_tokens(16 * 150, options.vocabulary), valid = random_tokens(400, 600);
  RnnChild child(RnnSpace(4), options, 1);
  RnnTask task(child, {.batch = 16, .reward_batch = 8, .bptt = 12}, train, valid, 0);
  Controller controller(child.space().decisions({}), kActivations, {}, 1);
  RewardBaseline baseline(0.9);
  Sgd sgd({.momentum = 0.9, .clip = 0.25, .decay = 1e-5});
  Adam adam;
  Tape tape;
  for (uint64_t update = 0; update < 2; ++update) {
    const auto archs =
        architectures_of(controller.sample(15, Random{1, Stream::shared_sample, update}));
    for (size_t k = 0; k < archs.size(); ++k) {
      const auto window = task.train_streams().window(static_cast<int64_t>(k) * 9, 12);
      const StepReport report =
          shared_step(tape, task, {&archs[k], 1}, window, update * 15 + k, sgd, 2);
      EXPECT_TRUE(report.finite());
    }
    controller_step(tape, task, controller, adam, baseline, {.samples = 4, .lr = 0.01}, 1, update);
  }
  auto bytes = bytes_of(child.parameters());
  bytes.merge(bytes_of(controller.parameters()));
  bytes.merge(bytes_of(sgd));
  bytes["state"] = bytes_of(task.state());
  return bytes;
}

TEST(SharedStep, BitsDoNotDependOnThreads) {
  const int before = thread_count();
  const auto want = search_bytes(1);
  for (const int threads : {1, 2, 3, 4, 8}) {
    for (const auto& [name, bytes] : search_bytes(threads))
      EXPECT_EQ(bytes == want.at(name), true) << name << " with " << threads << " threads";
  }
  set_thread_count(before);
}

class Reward : public testing::Test {
 protected:
  // The reward of `arch` for `sample`, after `earlier` scored in the same task.
  double reward(bool switched, const RnnChildOptions& options, uint64_t sample,
                const std::vector<Architecture>& earlier = {}) const {
    RnnTaskOptions task_options = small_task_options();
    task_options.reward_dropout = switched;
    SmallTask small(options, 3, DType::f32, task_options);
    for (const Architecture& other : earlier) small.task.rewards({&other, 1}, 1);
    return small.task.rewards({&arch_, 1}, sample)[0];
  }
  const std::vector<Architecture> archs_ = random_architectures(RnnSpace(3), 3);
  const Architecture arch_ = archs_[0];
  static constexpr uint64_t kWindows = 6;  // of 5 positions in 101 / 3; 3 are left over
};

TEST_F(Reward, IsAFunctionOfArchitectureAndSample) {
  const double first = reward(false, full_options(), 0);
  EXPECT_EQ(reward(false, full_options(), 0, {archs_[1]}), first);
  EXPECT_EQ(reward(false, full_options(), 0, {archs_[2], archs_[1]}), first);
  EXPECT_EQ(reward(false, full_options(), kWindows), first);  // windows are taken in turn
  EXPECT_NE(reward(false, full_options(), 1), first);
  EXPECT_EQ(reward(false, small_options(), 0), first);  // neither masks nor regularisers
  SmallTask small;
  EXPECT_EQ(small.task.reward_windows(), static_cast<int64_t>(kWindows));
  EXPECT_DOUBLE_EQ(first, 80 / small.task.score(arch_, 1).perplexity());
  // Nor does training state matter: only weights do, and rate 0 leaves them.
  Tape tape;
  Sgd sgd;
  shared_step(tape, small.task, {&archs_[1], 1}, small.window(), 0, sgd, 0);
  EXPECT_EQ(small.task.rewards({&arch_, 1}, 0)[0], first);
}

// A remainder of 3 positions has no turn, but where it is all there is (docs/method.md 1.3: the
// next sequential window of 35).
TEST_F(Reward, WindowsAreOfFullLength) {
  SmallTask small;
  const TextStreams streams(small.valid, 3, 0);
  Tape tape;
  const Tape::NoGrad no_grad(tape);
  std::set<double> seen;
  for (uint64_t sample = 0; sample < 2 * kWindows; ++sample) {
    const auto start = static_cast<int64_t>(5 * (sample % kWindows));
    const RnnChild::Pass pass =
        small.child.run(tape, arch_, streams.window(start, 5), small.child.zero_state(3));
    const double reward = small.task.rewards({&arch_, 1}, sample)[0];
    EXPECT_NEAR(reward, 80 / std::exp(pass.cross_entropy.value().item()), 1e-4) << sample;
    seen.insert(reward);
  }
  EXPECT_EQ(seen.size(), kWindows);
  RnnTaskOptions options = small_task_options();
  options.bptt = 50;
  SmallTask shorter(small_options(), 3, DType::f32, options);
  EXPECT_EQ(shorter.task.reward_windows(), 1);
  EXPECT_DOUBLE_EQ(shorter.task.rewards({&arch_, 1}, 4)[0],
                   80 / shorter.task.score(arch_).perplexity());
}

TEST_F(Reward, WithDropoutDependsOnMasksAndOnTheArchitectureBefore) {
  const double first = reward(true, full_options(), 0);
  EXPECT_EQ(reward(true, full_options(), 0), first);  // of the same history
  EXPECT_NE(reward(true, full_options(), 0), reward(false, full_options(), 0));
  EXPECT_NE(reward(true, full_options(), kWindows), first);  // same window, other masks
  const double after = reward(true, full_options(), 0, {archs_[1]});
  EXPECT_NE(after, first);
  EXPECT_NE(reward(true, full_options(), 0, {archs_[2]}), after);
  // Without rates the carried state alone tells the two apart.
  EXPECT_FLOAT_EQ(static_cast<float>(reward(true, small_options(), 0)),
                  static_cast<float>(reward(false, small_options(), 0)));
  EXPECT_NE(reward(true, small_options(), 0, {archs_[1]}), reward(true, small_options(), 0));
}

}  // namespace
}  // namespace enas::test
