// The steps of both phases on Device::cuda against the CPU, from the same start: the same masks and
// architectures, losses within 1e-4; no wait of the host inside a step, no allocation in a warm
// one.
#include <gtest/gtest.h>

#include <cmath>

#include "cuda/runtime.h"
#include "nas/baseline.h"
#include "tests/cuda/schedules.h"
#include "tests/nas/small_task.h"

namespace enas::test {
namespace {

// A child with its task and optimizer on one device.
struct Search {
  explicit Search(Device device, const RnnChildOptions& options = full_options(), int nodes = 3)
      : train(random_tokens(203, options.vocabulary)),
        valid(random_tokens(101, options.vocabulary, 1)),
        child(RnnSpace(nodes), options, 1, DType::f32, nullptr, device),
        task(child, small_task_options(), train, valid, 0),
        controller(child.space().decisions({}), child.space().operations(), {.hidden = 8}, 1,
                   DType::f32, device),
        sgd({.momentum = 0.9, .nesterov = true, .clip = 0.5, .decay = 1e-4}) {}

  StepReport shared(uint64_t step, const Tensor& previous = {}) {
    const Architecture arch = random_architectures(child.space(), 8)[step % 8];
    const int64_t start = static_cast<int64_t>(step) * 5 % 40;
    return shared_step(tape, task, {&arch, 1}, task.train_streams().window(start, 5), step, sgd,
                       0.5, previous);
  }

  std::vector<int32_t> train, valid;
  RnnChild child;
  RnnTask task;
  Controller controller;
  Sgd sgd;
  Adam adam;
  Tape tape;
};

void expect_close(const ParameterStore& got, const ParameterStore& want, double relative) {
  for (const Parameter& p : want) {
    const std::vector<double> a = got.get(p.name).value.to_vector(), b = p.value.to_vector();
    double scale = 0;
    for (const double v : b) scale = std::max(scale, std::fabs(v));
    for (size_t i = 0; i < b.size(); ++i) {
      ASSERT_NEAR(a[i], b[i], relative * scale) << p.name << " element " << i;
    }
  }
}

TEST(CudaSteps, TenSharedStepsFollowTheCpu) {
  Search here(Device::cpu), there(Device::cuda);
  for (uint64_t step = 0; step < 10; ++step) {
    const StepReport want = here.shared(step), got = there.shared(step);
    ASSERT_TRUE(got.finite());
    EXPECT_NEAR(got.loss(), want.loss(), 1e-4 * want.loss()) << "step " << step;
    EXPECT_NEAR(got.grad_norm(), want.grad_norm(), 1e-3 * want.grad_norm()) << "step " << step;
  }
  expect_close(there.child.parameters(), here.child.parameters(), 1e-3);
}

TEST(CudaSteps, MasksAndInitialWeightsHaveTheSameBits) {
  const RnnMasks here = draw_masks(full_options(), 4, 1, 3);
  const RnnMasks there = draw_masks(full_options(), 4, 1, 3, DType::f32, Device::cuda);
  EXPECT_EQ(bytes_of(there.word.to(Device::cpu)), bytes_of(here.word));
  EXPECT_EQ(bytes_of(there.input.to(Device::cpu)), bytes_of(here.input));
  EXPECT_EQ(bytes_of(there.recurrent.to(Device::cpu)), bytes_of(here.recurrent));
  EXPECT_EQ(bytes_of(there.output.to(Device::cpu)), bytes_of(here.output));
  Search a(Device::cpu), b(Device::cuda);
  auto other = b.child.parameters().begin();
  for (const Parameter& p : a.child.parameters()) {
    EXPECT_EQ(bytes_of((other++)->value.to(Device::cpu)), bytes_of(p.value)) << p.name;
  }
}

TEST(CudaSteps, AWarmSharedStepWaitsForNothingAndAllocatesNothing) {
  Search search(Device::cuda);
  const Architecture arch = random_architectures(search.child.space(), 1)[0];
  const auto step = [&](uint64_t k) {
    return shared_step(search.tape, search.task, {&arch, 1},
                       search.task.train_streams().window(0, 5), k, search.sgd, 0.1);
  };
  StepReport before = step(0);
  for (uint64_t k = 1; k < 3; ++k) before = step(k);
  const cuda::Counters warm = cuda::counters();
  std::vector<StepReport> reports;
  for (uint64_t k = 3; k < 6; ++k) {
    reports.push_back(step(k));
    EXPECT_TRUE(before.finite());  // of the step before: read one step late
    before = reports.back();
  }
  const cuda::Counters after = cuda::counters();
  EXPECT_EQ(after.waits, warm.waits);
  EXPECT_EQ(after.upload_waits, warm.upload_waits);
  if (!cuda::kOnHost) {  // the shim guards each block instead of keeping it
    EXPECT_EQ(after.device_allocations, warm.device_allocations);
  }
  EXPECT_GT(after.launches, warm.launches);
}

TEST(CudaSteps, APolicyUpdateWaitsTwiceAtMost) {
  Search search(Device::cuda);
  RewardBaseline baseline(0.99);
  ControllerStepOptions options;
  options.samples = 4;
  for (uint64_t update = 0; update < 2; ++update) {
    const uint64_t before = cuda::counters().waits + cuda::counters().late_waits;
    const ScoredSamples samples = score_samples(search.task, search.controller, options, 1, update);
    const ControllerReport report =
        policy_update(search.tape, search.controller, search.adam, baseline, options, samples);
    // For the architectures and for the last reward, which a GPU may have by then.
    const uint64_t waits = cuda::counters().waits + cuda::counters().late_waits - before;
    EXPECT_LE(waits, 2u);
    EXPECT_GE(waits, cuda::kOnHost ? 2u : 1u);
    settle(report, baseline);
    EXPECT_TRUE(report.step.finite());
  }
}

TEST(CudaSteps, ThePolicyIsTheSameOnBothDevices) {
  Search here(Device::cpu), there(Device::cuda);
  RewardBaseline base_here(0.99), base_there(0.99);
  ControllerStepOptions options;
  options.samples = 3;
  options.lr = 1e-2;
  for (uint64_t update = 0; update < 5; ++update) {
    const Random random{1, Stream::policy_sample, update};
    EXPECT_EQ(there.controller.sample(20, random).actions,
              here.controller.sample(20, random).actions)
        << "update " << update;
    const ControllerReport want = controller_step(here.tape, here.task, here.controller, here.adam,
                                                  base_here, options, 1, update);
    const ControllerReport got = controller_step(there.tape, there.task, there.controller,
                                                 there.adam, base_there, options, 1, update);
    EXPECT_NEAR(got.reward, want.reward, 1e-4 * want.reward);
    EXPECT_EQ(got.best.choices, want.best.choices);
  }
}

TEST(CudaSteps, AStepThatIsNotFiniteLeavesEveryBit) {
  Search search(Device::cuda);
  search.shared(0).finite();
  search.task.state().fill(NAN);
  const auto bits = [&] {
    std::map<std::string, std::string> bytes;
    for (const Parameter& p : search.child.parameters())
      bytes[p.name] = bytes_of(p.value.to(Device::cpu));
    return bytes;
  };
  const auto before = bits();
  const StepReport bad = search.shared(1);
  const StepReport next = search.shared(2, bad.gate());  // issued before anybody looked
  EXPECT_FALSE(bad.finite());
  EXPECT_FALSE(next.finite());
  EXPECT_EQ(bits(), before);
  for (const double v : search.task.state().to_vector()) ASSERT_EQ(v, 0);
}

TEST(CudaSteps, EveryScheduleGivesTheSameBits) {
  std::vector<double> losses;
  for (int run = 0; run < cuda::test_runs(); ++run) {
    cuda::prepare_test_run(run);
    Search search(Device::cuda);
    double loss = 0;
    for (uint64_t step = 0; step < 2; ++step) loss = search.shared(step).loss();
    losses.push_back(loss);
  }
  for (const double loss : losses) EXPECT_EQ(loss, losses[0]);
}

}  // namespace
}  // namespace enas::test
