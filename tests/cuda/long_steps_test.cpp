// Sizes and lengths that only a GPU runs in time: a hundred shared steps on a replayed list of
// architectures against the CPU, the same masks in each, and the same samples of a policy.
#ifndef ENAS_CUDA_ON_HOST
#include <gtest/gtest.h>

#include <cmath>

#include "nas/baseline.h"
#include "tests/nas/small_task.h"

namespace enas::test {
namespace {

constexpr int kNodes = 8;
constexpr int64_t kBptt = 20, kHidden = 200;

RnnChildOptions child_options() {
  RnnChildOptions options = full_options();
  options.vocabulary = 1000;
  options.hidden = kHidden;
  options.init_range = 0.04;
  return options;
}
RnnTaskOptions task_options() {
  RnnTaskOptions options;
  options.batch = 32;
  options.reward_batch = 16;
  options.bptt = kBptt;
  return options;
}

struct Search {
  explicit Search(Device device)
      : train(random_tokens(32 * 401, 1000)),
        valid(random_tokens(16 * 101, 1000, 1)),
        child(RnnSpace(kNodes), child_options(), 1, DType::f32, nullptr, device),
        task(child, task_options(), train, valid, 0),
        controller(child.space().decisions({}), child.space().operations(), {.hidden = 64}, 1,
                   DType::f32, device),
        sgd({.clip = 0.25, .decay = 1e-6}) {}

  StepReport shared(uint64_t step, const Architecture& arch) {
    const int64_t start = static_cast<int64_t>(step) % 19 * kBptt;
    return shared_step(tape, task, {&arch, 1}, task.train_streams().window(start, kBptt), step, sgd,
                       1.0);
  }

  std::vector<int32_t> train, valid;
  RnnChild child;
  RnnTask task;
  Controller controller;
  Sgd sgd;
  Adam adam;
  Tape tape;
};

TEST(CudaLongSteps, AHundredStepsOnAReplayedListFollowTheCpu) {
  Search here(Device::cpu), there(Device::cuda);
  const std::vector<Architecture> list = random_architectures(here.child.space(), 100);
  double largest = 0;
  for (uint64_t step = 0; step < list.size(); ++step) {
    const StepReport want = here.shared(step, list[step]), got = there.shared(step, list[step]);
    ASSERT_TRUE(want.finite() && got.finite()) << "step " << step;
    const double difference = std::fabs(got.loss() - want.loss()) / want.loss();
    ASSERT_LE(difference, step < 10 ? 1e-4 : 1e-2) << "step " << step;
    largest = std::max(largest, difference);
  }
  RecordProperty("largest_relative_difference", std::to_string(largest));
}

TEST(CudaLongSteps, MasksOfEveryStepHaveTheSameBits) {
  for (uint64_t draw = 0; draw < 100; ++draw) {
    const RnnMasks here = draw_masks(child_options(), 32, 1, draw);
    const RnnMasks there = draw_masks(child_options(), 32, 1, draw, DType::f32, Device::cuda);
    ASSERT_EQ(bytes_of(there.word.to(Device::cpu)), bytes_of(here.word)) << draw;
    ASSERT_EQ(bytes_of(there.input.to(Device::cpu)), bytes_of(here.input)) << draw;
    ASSERT_EQ(bytes_of(there.recurrent.to(Device::cpu)), bytes_of(here.recurrent)) << draw;
    ASSERT_EQ(bytes_of(there.output.to(Device::cpu)), bytes_of(here.output)) << draw;
  }
}

TEST(CudaLongSteps, ThePolicySamplesTheSameArchitectures) {
  Search here(Device::cpu), there(Device::cuda);
  RewardBaseline base_here(0.99), base_there(0.99);
  ControllerStepOptions options;
  options.lr = 5e-3;
  for (uint64_t update = 0; update < 10; ++update) {
    const Random random{1, Stream::shared_sample, update};
    ASSERT_EQ(there.controller.sample(50, random).actions,
              here.controller.sample(50, random).actions)
        << "update " << update;
    const ControllerReport want = controller_step(here.tape, here.task, here.controller, here.adam,
                                                  base_here, options, 1, update);
    const ControllerReport got = controller_step(there.tape, there.task, there.controller,
                                                 there.adam, base_there, options, 1, update);
    ASSERT_NEAR(got.reward, want.reward, 1e-4 * want.reward) << "update " << update;
    ASSERT_EQ(got.best.choices, want.best.choices) << "update " << update;
  }
}

}  // namespace
}  // namespace enas::test
#endif
