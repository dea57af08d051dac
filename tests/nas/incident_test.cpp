// NaN and infinities at each stage of a step (loss, gradient, decay, reward, policy): weights,
// optimizer slots, averages, baseline and controller keep their bits, and the next good step counts
// as if there had been none (docs/numerics.md).
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "nn/average.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/structure.h"
#include "tests/nas/small_task.h"

namespace enas::test {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

// What a step of the two weights a, b does: loss = a + b in the good case.
enum class Fault { none, loss, gradient };

struct TwoWeights {
  TwoWeights() {
    for (const char* name : {"a", "b"}) {
      Parameter& p = parameters.add(name, {3});
      p.value = Tensor::from({0, 0.5, -2}, {3});
    }
  }
  Var train_loss(Tape& tape, const Architecture&, Fault fault, uint64_t) {
    const Var good = add(sum(tape.use(parameters.get("a"))), sum(tape.use(parameters.get("b"))));
    if (fault == Fault::none) return good;
    // 0 times 1e60: the loss stays 0, its gradient does not fit in f32.
    const Var far = scale(scale(slice_rows(tape.use(parameters.get("a")), 0, 1), 1e30), 1e30);
    if (fault == Fault::gradient) return add(good, sum(far));
    return add(good, scale(scale(sum(square(tape.use(parameters.get("b")))), 1e30), bad));
  }
  void finish_step(const Tensor&) {}
  std::vector<Parameter*> all_parameters() { return parameters.all(); }

  ParameterStore parameters;
  double bad = 1e30;
};

template <class Holder>
std::map<std::string, std::string> state_bytes(const Holder& holder) {
  std::map<std::string, Tensor> tensors;
  holder.state(tensors, "");
  std::map<std::string, std::string> bytes;
  for (const auto& [name, tensor] : tensors) bytes[name] = bytes_of(tensor);
  return bytes;
}

// Runs the faults in turn and returns everything that outlives a step.
std::map<std::string, std::string> after(const std::vector<Fault>& faults, bool dense, double bad) {
  TwoWeights task;
  task.bad = bad;
  Sgd sgd({.momentum = 0.9, .clip = 0.5, .decay = 1e-3, .dense = dense});
  WeightAverage average({.start_step = 1});
  Tape tape;
  const Architecture none;
  uint64_t number = 0;
  for (const Fault fault : faults) {
    const StepReport report = shared_step(tape, task, {&none, 1}, fault, number++, sgd, 0.1);
    EXPECT_EQ(report.finite(), fault == Fault::none);
    average.update(task.parameters.all(), static_cast<int64_t>(number), report.gate());
  }
  auto bytes = bytes_of(task.parameters);
  bytes.merge(bytes_of(sgd));
  bytes.merge(state_bytes(average));
  EXPECT_GE(bytes.size(), 2u + 2 + 2);
  return bytes;
}

TEST(Incident, AFaultInLossOrGradientIsAsIfItHadNotBeen) {
  const Fault good = Fault::none;
  for (const bool dense : {false, true}) {
    const auto want = after({good, good}, dense, kInf);
    for (const Fault fault : {Fault::loss, Fault::gradient}) {
      for (const double bad : {kInf, -kInf, kNan}) {
        EXPECT_TRUE(after({good, fault, good}, dense, bad) == want) << bad;
        EXPECT_TRUE(after({good, fault, fault, fault, good}, dense, bad) == want) << bad;
      }
    }
  }
}

// Under `stop` the step after a bad one has been issued before the host sees the flag: the gate of
// the bad one, handed on, keeps it from changing anything, and every later one.
TEST(Incident, AStepIssuedAfterABadOneChangesNothingEither) {
  for (const bool dense : {false, true}) {
    TwoWeights task;
    Sgd sgd({.momentum = 0.9, .clip = 0.5, .decay = 1e-3, .dense = dense});
    WeightAverage average({.start_step = 1});
    Tape tape;
    const Architecture none;
    int64_t number = 0;
    const auto step = [&](Fault fault, const Tensor& previous) {
      StepReport report = shared_step(tape, task, {&none, 1}, fault, static_cast<uint64_t>(number),
                                      sgd, 0.1, previous);
      average.update(task.parameters.all(), ++number, report.gate());
      return report;
    };
    const auto bytes = [&] {
      auto all = bytes_of(task.parameters);
      all.merge(bytes_of(sgd));
      all.merge(state_bytes(average));
      return all;
    };
    const StepReport good = step(Fault::none, Tensor());
    const auto want = bytes();
    const StepReport bad = step(Fault::gradient, good.gate());
    const StepReport after = step(Fault::none, bad.gate()), later = step(Fault::none, after.gate());
    EXPECT_TRUE(good.finite());
    EXPECT_FALSE(bad.finite() || after.finite() || later.finite());
    EXPECT_TRUE(std::isfinite(after.loss()) && std::isfinite(after.grad_norm()));
    EXPECT_TRUE(bytes() == want);
    EXPECT_TRUE(step(Fault::none, good.gate()).finite());
    EXPECT_FALSE(bytes() == want);
  }
}

struct Rewarder {
  std::vector<double> rewards(std::span<const Architecture> archs, uint64_t first) const {
    std::vector<double> list;
    for (uint64_t s = first; list.size() < archs.size(); ++s)
      list.push_back(s % 4 == 2 ? bad : 1.0);
    return list;
  }
  double bad = 1;
};

class PolicyIncident : public testing::Test {
 protected:
  ControllerReport step(double bad, uint64_t update) {
    Rewarder task{bad};
    return controller_step(tape_, task, controller_, adam_, baseline_, options_, 1, update);
  }
  std::map<std::string, std::string> bytes() {
    auto all = bytes_of(controller_.parameters());
    // Slots begin at zero: those of an update that was not made say nothing yet.
    for (auto& [name, slot] : state_bytes(adam_))
      if (slot.find_first_not_of('\0') != std::string::npos) all.emplace(name, slot);
    const std::optional<double> b = baseline_.value();
    all["baseline"] = b ? bytes_of(Tensor::full({1}, *b, DType::f64)) : "unset";
    return all;
  }

  Controller controller_{
      RnnSpace(3).decisions({}), kActivations, {.hidden = 8, .init_range = 0.3}, 1};
  Adam adam_;
  RewardBaseline baseline_{0.9};
  ControllerStepOptions options_{.samples = 4, .lr = 0.01};
  Tape tape_;
};

TEST_F(PolicyIncident, ABadRewardChangesNothing) {
  for (const bool first : {true, false}) {  // before and after the baseline has a value
    if (!first) {
      ASSERT_TRUE(step(2, 0).step.finite());
    }
    const auto before = bytes();
    for (const double bad : {kNan, kInf, -kInf}) {
      try {
        step(bad, 1);
        ADD_FAILURE() << bad;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::diverged) << error.what();
      }
      EXPECT_TRUE(bytes() == before) << bad;
    }
  }
  EXPECT_TRUE(step(2, 1).step.finite());
}

// A reward that is finite but too large for the policy's f32 gradient.
TEST_F(PolicyIncident, ABadPolicyGradientChangesNothing) {
  for (const bool first : {true, false}) {
    if (!first) {
      ASSERT_TRUE(step(2, 0).step.finite());
    }
    const auto before = bytes();
    for (const double bad : {1e200, -1e200}) {
      EXPECT_FALSE(step(bad, 1).step.finite());
      EXPECT_TRUE(bytes() == before) << bad;
    }
  }
  const auto before = bytes();
  EXPECT_TRUE(step(2, 1).step.finite());
  EXPECT_FALSE(bytes() == before);
}

TEST_F(PolicyIncident, ABadWeightOfThePolicyIsSeenBeforeAnythingIsScored) {
  ASSERT_TRUE(step(2, 0).step.finite());
  Tensor& value = controller_.parameters().get("controller.lstm").value;
  for (const double bad : {kNan, kInf}) {
    value.data<float>()[0] = static_cast<float>(bad);
    const auto before = bytes();
    bool seen = false;
    try {
      seen = !step(2, 1).step.finite();
    } catch (const Error& error) {
      seen = error.kind() == ErrorKind::diverged;
    }
    EXPECT_TRUE(seen || std::isinf(bad));  // tanh and sigmoid of an infinity are legal
    if (seen) {
      EXPECT_TRUE(bytes() == before) << bad;
    }
  }
}

}  // namespace
}  // namespace enas::test
