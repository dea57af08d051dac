// Loss and gradient of device logits: one launch, no wait, every row layout, targets that do not
// fit.
#include "ops/softmax_cross_entropy.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cuda/runtime.h"
#include "ops/pointwise.h"
#include "tests/cuda/compare.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

struct Problem {
  Tensor x, targets, x_there, targets_there;
  double factor;
};
Problem problem(int64_t rows, int64_t columns, DType dtype, int64_t offset = 0) {
  Problem p;
  p.x = random_tensor({rows, columns}, 1, dtype);
  const Random random{3, Stream::test, 1};
  std::vector<int32_t> targets(static_cast<size_t>(rows));
  for (size_t i = 0; i < targets.size(); ++i) {
    targets[i] = static_cast<int32_t>(random.below(static_cast<uint32_t>(columns), i));
  }
  if (rows > 0) targets[0] = static_cast<int32_t>(columns - 1);
  p.targets = Tensor::from_indices(targets, {rows});
  p.x_there = at_offset(p.x, offset);
  p.targets_there = p.targets.to(Device::cuda);
  p.factor = 1.0 / static_cast<double>(rows);
  return p;
}
Tensor scalar(DType dtype, double value = 0) {
  return Tensor::full({}, value, dtype, Device::cuda);
}

constexpr std::pair<int64_t, int64_t> kShapes[] = {{21, 7},  {300, 7},  {2, 128},  {3, 129},
                                                   {3, 132}, {2, 1000}, {2, 4101}, {2, 10260}};

template <class Test>
void for_each_problem(Test test) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const auto& [rows, columns] : kShapes) {
      for (const int64_t offset : {0, 1}) {
        if (offset == 1 && columns != 132) continue;
        SCOPED_TRACE(testing::Message()
                     << dtype << ' ' << rows << " x " << columns << ", offset " << offset);
        test(problem(rows, columns, dtype, offset),
             static_cast<double>(columns) * rounding(dtype) / 16);
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

TEST(CudaCrossEntropy, KeepsTheLogits) {
  for_each_problem([](const Problem& p, double near) {
    const DType dtype = p.x.dtype();
    Tensor y({}, dtype), kept({p.x.size(0), 2}, dtype);
    cpu::cross_entropy_forward(p.x, p.targets, p.factor, kept, y);
    Tensor y_there = scalar(dtype), kept_there = kept.to(Device::cuda);
    expect_same_each_run(y, near, [&] {
      cuda::cross_entropy_forward(p.x_there, p.targets_there, p.factor, kept_there, y_there);
      return y_there;
    });
    expect_near(kept_there, kept, near);
    expect_near(p.x_there, p.x, 0);
    for (const Into into : {Into::write, Into::add}) {
      const Tensor before = random_tensor(p.x.shape(), 5, dtype);
      Tensor want = before.clone();
      const Tensor dy = Tensor::full({}, 0.75, dtype);
      cpu::cross_entropy_backward(p.x, p.targets, kept, dy, p.factor, want, into);
      expect_same_each_run(want, near, [&] {
        Tensor dx = before.to(Device::cuda);
        cuda::cross_entropy_backward(p.x_there, p.targets_there, kept_there, scalar(dtype, 0.75),
                                     p.factor, dx, into);
        return dx;
      });
    }
  });
}

TEST(CudaCrossEntropy, InPlace) {
  for_each_problem([](const Problem& p, double near) {
    Tensor y({}, p.x.dtype()), dx = p.x.clone();
    cpu::cross_entropy_in_place(dx, p.targets, p.factor, y);
    Tensor loss = scalar(p.x.dtype());
    expect_same_each_run(dx, near, [&] {
      Tensor there = p.x_there.clone();
      cuda::cross_entropy_in_place(there, p.targets_there, p.factor, loss);
      return there;
    });
    expect_near(loss, y, near);
  });
}

TEST(CudaCrossEntropy, ScalesUnlessByOne) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const int64_t n : {1, 7, 4096, 70001}) {
      const Tensor x = random_tensor({n}, 4, dtype);
      for (const double dy : {1.0, -0.5}) {
        Tensor want = x.clone(), there = at_offset(x, n == 4096 ? 0 : 1);
        cpu::cross_entropy_scale(want, Tensor::full({}, dy, dtype));
        cuda::cross_entropy_scale(there, scalar(dtype, dy));
        expect_near(there, want, 0);
      }
    }
  }
}

// Through the tape: the gradient is in the buffer of the logits, two launches, and nobody waits.
TEST(CudaCrossEntropy, LossAndGradientInOneVisit) {
  const Problem p = problem(5, 200, DType::f32);
  Tape tape;
  const Var x = tape.variable(Tensor::zeros({}, DType::f32, Device::cuda));
  Tensor values = p.x_there.clone(), gradient;
  const void* buffer = values.raw();
  Var logits = record("logits", {x}, std::move(values),
                      [&gradient](const Tensor& dy, Grads&) { gradient = dy; });
  cuda::reset_counters();
  const Var loss = softmax_cross_entropy(std::move(logits), p.targets_there);
  EXPECT_EQ(cuda::launches_by_op()["softmax_cross_entropy"], 1u);
  tape.backward(loss);
  EXPECT_EQ(cuda::launches_by_op()["softmax_cross_entropy"], 2u);
  EXPECT_EQ(cuda::counters().waits, 0u);
  EXPECT_EQ(gradient.raw(), buffer);
  EXPECT_EQ(loss.value().device(), Device::cuda);
  Tensor want = p.x.clone(), y = Tensor::zeros({});
  cpu::cross_entropy_in_place(want, p.targets, p.factor, y);
  expect_near(gradient, want, 1e-5);
  expect_near(loss.value(), y, 1e-5);
}

TEST(CudaCrossEntropy, TargetsThatDoNotFit) {
  for (const int64_t columns : {7, 300}) {
    for (const int64_t bad : {int64_t{-1}, columns}) {
      for (const bool hold : {false, true}) {
        SCOPED_TRACE(testing::Message() << columns << " columns, target " << bad);
        Tape tape;
        const Var x = tape.variable(random_tensor({3, columns}, 1, DType::f64).to(Device::cuda));
        Var logits = add_scalar(x, 0);
        const Tensor held = hold ? logits.value() : Tensor();
        const Tensor targets = Tensor::from_indices({0, static_cast<int32_t>(bad), 2}, {3});
        const Var loss = softmax_cross_entropy(std::move(logits), targets.to(Device::cuda));
        tape.backward(loss);
        EXPECT_EQ(error_of([&] { loss.value().item(); }, ErrorKind::data),
                  "softmax_cross_entropy: index " + std::to_string(bad) +
                      " at position 1 is outside " + std::to_string(columns) + " rows");
        const Values dx = tape.gradient(x).to_vector();  // told once
        const auto row = static_cast<size_t>(columns);
        for (size_t c = 0; c < row; ++c) {
          EXPECT_EQ(dx[row + c], 0);
          EXPECT_NE(dx[c], 0);
        }
        EXPECT_TRUE(std::isfinite(loss.value().item()));
      }
    }
  }
}

TEST(CudaCrossEntropy, NanInfinityAndNoRows) {
  for (const int64_t columns : {3, 200}) {
    const Problem p = problem(2, columns, DType::f32);
    Tensor x = p.x.clone();
    x.data<float>()[1] = NAN;
    Tensor there = x.to(Device::cuda), loss = scalar(DType::f32);
    cuda::cross_entropy_in_place(there, p.targets_there, p.factor, loss);
    EXPECT_TRUE(std::isnan(loss.item()));
    EXPECT_TRUE(std::isnan(there.item(0)));
    EXPECT_FALSE(std::isnan(there.item(columns)));
  }
  const Tensor none({0, 3}, DType::f32, Device::cuda);
  const Tensor targets = Tensor::from_indices({}, {0}).to(Device::cuda);
  Tape tape;
  const Var x = tape.variable(none);
  const Var loss = softmax_cross_entropy(x, targets);
  EXPECT_TRUE(std::isnan(loss.value().item()));
  tape.backward(loss);
}

TEST(CudaCrossEntropy, OperandsOnOneDevice) {
  const Tensor x = Tensor::zeros({1, 2}, DType::f32, Device::cuda);
  EXPECT_EQ(error_of([&] { softmax_cross_entropy(x, Tensor::from_indices({0}, {1})); }),
            "softmax_cross_entropy: the logits are on cuda, the targets on cpu");
}

}  // namespace
}  // namespace enas::test
