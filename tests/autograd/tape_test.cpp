#include "autograd/tape.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>

#include "tests/autograd/test_ops.h"

namespace enas::test {
namespace {

using Numbers = std::vector<double>;

Parameter parameter(const char* name, const Numbers& values) {
  Parameter p;
  p.name = name;
  p.value = f64(values);
  return p;
}

TEST(Tape, ChainRule) {
  Tape tape;
  const Var x = tape.variable(f64({1, 2, 3}));
  tape.backward(total(mul(scale(x, 2), x)));  // 2 x^2
  EXPECT_EQ(tape.gradient(x).to_vector(), (Numbers{4, 8, 12}));
  EXPECT_EQ(tape.recorded_ops(), 3u);
}

TEST(Tape, TheSameVarTwice) {
  Tape tape;
  const Var x = tape.variable(f64({3, 5}));
  tape.backward(total(mul(x, x)));
  EXPECT_EQ(tape.gradient(x).to_vector(), (Numbers{6, 10}));
  tape.clear();
  const Var y = tape.variable(f64({3, 5}));
  tape.backward(total(add(y, y)));
  EXPECT_EQ(tape.gradient(y).to_vector(), (Numbers{2, 2}));
}

// An op may ask for both gradients first and write them in either order.
TEST(Tape, TheSameVarTwiceWrittenInAnyOrder) {
  for (const size_t first : {0u, 1u}) {
    Tape tape;
    const Var x = tape.variable(f64({3, 5}));
    const Var y = record("pair", {x, x}, x.value().clone(), [first](const Tensor& dy, Grads& dx) {
      const Into into[] = {dx[0].into(), dx[1].into()};
      for (const size_t k : {first, 1 - first}) {
        double* out = dx[k].tensor().data<double>();
        const double slope = k == 0 ? 10 : 1;
        for (int64_t i = 0; i < dy.numel(); ++i)
          out[i] = (into[k] == Into::add ? out[i] : 0) + slope * dy.data<double>()[i];
      }
    });
    tape.backward(total(y));
    EXPECT_EQ(tape.gradient(x).to_vector(), (Numbers{11, 11})) << first;
  }
}

// add() hands dy on without a copy; what is added to one of the sharers must not reach the others.
TEST(Tape, AcceptedGradientsDoNotAlias) {
  Tape tape;
  const Var x = tape.variable(f64({1, 1})), y = tape.variable(f64({2, 2}));
  const Var sum = add(x, y);
  // The node recorded first runs last: `add` shares its dy between x and y, `early` adds to x.
  const Var z = tape.variable(f64({1, 1}));
  tape.backward(total(add(add(sum, scale(x, 10)), z)));
  EXPECT_EQ(tape.gradient(x).to_vector(), (Numbers{11, 11}));
  EXPECT_EQ(tape.gradient(y).to_vector(), (Numbers{1, 1}));
  EXPECT_EQ(tape.gradient(z).to_vector(), (Numbers{1, 1}));

  tape.clear();
  const Var a = tape.variable(f64({1, 1})), b = tape.variable(f64({2, 2}));
  const Var early = scale(a, 10);
  tape.backward(total(add(add(a, b), early)));
  EXPECT_EQ(tape.gradient(a).to_vector(), (Numbers{11, 11}));
  EXPECT_EQ(tape.gradient(b).to_vector(), (Numbers{1, 1}));
}

TEST(Tape, AcceptedConstantsStayAsTheyAre) {
  const Tensor slope = f64({5, 7});
  Tape tape;
  const Var x = tape.variable(f64({1, 1}));
  const Var early = scale(x, 3);
  const Var y = record("linear", {x}, Tensor::full({}, 0, DType::f64),
                       [slope](const Tensor&, Grads& dx) { dx[0].accept(slope); });
  tape.backward(add(y, total(early)));
  EXPECT_EQ(tape.gradient(x).to_vector(), (Numbers{8, 10}));
  EXPECT_EQ(slope.to_vector(), (Numbers{5, 7}));
}

TEST(Tape, SeveralOutputsWithAbsentGradients) {
  for (const int used : {0, 1, 2, 3}) {  // bit k: output k is used
    Tape tape;
    const Var x = tape.variable(f64({2}));
    std::vector<bool> present;
    const std::vector<Var> parts =
        record("split", {x}, {f64({2}), f64({4})}, [&](OutputGrads dy, Grads& dx) {
          double slope = 0;
          for (size_t k = 0; k < 2; ++k) {
            present.push_back(dy[k].defined());
            if (dy[k].defined()) slope += (k == 0 ? 1 : 2) * dy[k].item();
          }
          scale_into(f64({1}), slope, dx[0]);
        });
    Var loss = tape.variable(Tensor::full({}, 0, DType::f64));
    for (size_t k = 0; k < 2; ++k) {
      if (used >> k & 1) loss = add(loss, total(parts[k]));
    }
    tape.backward(loss);
    if (used == 0) {
      EXPECT_TRUE(present.empty());  // it did not run
      EXPECT_FALSE(tape.gradient(x).defined());
      continue;
    }
    EXPECT_EQ(present, (std::vector<bool>{(used & 1) != 0, (used & 2) != 0}));
    EXPECT_EQ(tape.gradient(x).item(), (used & 1) + (used & 2));
  }
}

TEST(Tape, ConstantsGetNoGradient) {
  Tape tape;
  const Var x = tape.variable(f64({2})), c = f64({3});
  EXPECT_FALSE(c.has_grad());
  const Var y = mul(x, c);
  EXPECT_TRUE(y.has_grad());
  EXPECT_FALSE(scale(c, 2).has_grad());
  EXPECT_EQ(tape.recorded_ops(), 1u);
  tape.backward(total(y));
  EXPECT_EQ(tape.gradient(x).item(), 3);
}

TEST(Tape, AskingForAConstantsGradientIsRefused) {
  Tape tape;
  const Var x = tape.variable(f64({2})), c = f64({3});
  const Var y = record("wrong", {x, c}, f64({1}), [](const Tensor&, Grads& dx) { dx[1].tensor(); });
  EXPECT_THROW(tape.backward(y), Error);
  const Var z = f64({1});
  tape.clear();
  const Var w = tape.variable(f64({2}));
  const Var v =
      record("wrong", {w, z}, f64({1}), [](const Tensor& dy, Grads& dx) { dx[1].accept(dy); });
  EXPECT_THROW(tape.backward(v), Error);
}

TEST(Tape, GradientOfAnotherShapeIsRefused) {
  Tape tape;
  const Var x = tape.variable(f64({2, 2}));
  const Var y =
      record("wrong", {x}, f64({1}), [](const Tensor& dy, Grads& dx) { dx[0].accept(dy); });
  EXPECT_THROW(tape.backward(y), Error);
}

TEST(Tape, NoGradStoresNothing) {
  Tape tape;
  Parameter p = parameter("p", {2});
  {
    const Tape::NoGrad outer(tape);
    { const Tape::NoGrad inner(tape); }
    EXPECT_FALSE(tape.recording());
    const Var y = scale(tape.use(p), 3);
    EXPECT_EQ(y.value().item(), 6);
    EXPECT_FALSE(y.has_grad());
    EXPECT_FALSE(scale(tape.variable(f64({1})), 2).has_grad());
  }
  EXPECT_TRUE(tape.recording());
  EXPECT_EQ(tape.recorded_ops(), 0u);
  EXPECT_TRUE(tape.parameters().empty());
}

// A chain of n ops on a large tensor: forward keeps nothing (scale saves no value), backward two
// gradients at a time.
TEST(Tape, GradientsAreReleasedDuringBackward) {
  const auto peak = [](int length) {
    Tape tape;
    const Tensor start = Tensor::zeros({100000}, DType::f64);
    const size_t before = memory_pool().stats().live_bytes;
    memory_pool().reset_peak();
    Var y = tape.variable(start);
    for (int i = 0; i < length; ++i) y = scale(y, 1.01);
    const Var loss = total(y);
    y = Var();
    tape.backward(loss);
    return memory_pool().stats().peak_bytes - before;
  };
  EXPECT_EQ(peak(3), peak(50));
}

// A chain whose ops do save their input: each is released as backward passes it.
TEST(Tape, SavedValuesAreReleasedDuringBackward) {
  Tape tape;
  const Var x = tape.variable(f64({2}));
  std::vector<std::weak_ptr<int>> saved;
  std::vector<size_t> alive;
  Var y = x;
  for (int i = 0; i < 5; ++i) {
    auto value = std::make_shared<int>(i);
    saved.push_back(value);
    y = record("saver", {y}, y.value().clone(),
               [value, &alive, &saved](const Tensor& dy, Grads& dx) {
                 size_t count = 0;
                 for (const auto& s : saved) count += !s.expired();
                 alive.push_back(count);
                 dx[0].accept(dy);
               });
  }
  tape.backward(y);
  EXPECT_EQ(alive, (std::vector<size_t>{5, 4, 3, 2, 1}));
  EXPECT_TRUE(saved[0].expired());
}

TEST(Tape, DestructorsRunWithoutBackwardAndWhenForwardThrows) {
  auto value = std::make_shared<int>(1);
  const auto keep = [value](const Tensor&, Grads&) {};
  const auto base = value.use_count();
  {
    Tape tape;
    const Var x = tape.variable(f64({1}));
    record("kept", {x}, f64({1}), keep);
    EXPECT_EQ(value.use_count(), base + 1);
    tape.clear();
    EXPECT_EQ(value.use_count(), base);
    const Var y = tape.variable(f64({1}));
    record("kept", {y}, f64({1}), keep);
    try {
      record("kept", {x}, f64({1}), keep);  // stale: throws
      ADD_FAILURE();
    } catch (const Error&) {
    }
    EXPECT_EQ(value.use_count(), base + 1);
  }
  EXPECT_EQ(value.use_count(), base);
}

TEST(Tape, ABackwardThatThrowsLeavesTheTapeUsable) {
  auto value = std::make_shared<int>(1);
  Tape tape;
  const Var x = tape.variable(f64({1}));
  const Var y = record("bad", {x}, f64({1}),
                       [value](const Tensor&, Grads&) { throw std::runtime_error("backward"); });
  EXPECT_THROW(tape.backward(scale(y, 2)), std::runtime_error);
  tape.clear();
  EXPECT_EQ(value.use_count(), 1);
  const Var z = tape.variable(f64({1}));
  tape.backward(scale(z, 4));
  EXPECT_EQ(tape.gradient(z).item(), 4);
}

TEST(Tape, MisuseIsRefused) {
  Tape tape, other;
  const Var x = tape.variable(f64({1})), foreign = other.variable(f64({1}));
  EXPECT_THROW(mul(x, foreign), Error);
  EXPECT_THROW(tape.backward(foreign), Error);
  EXPECT_THROW(tape.backward(f64({1})), Error);
  const Var y = scale(x, 2);
  EXPECT_THROW(tape.gradient(y), Error);
  tape.backward(y);
  EXPECT_THROW(tape.backward(y), Error);
  EXPECT_THROW(scale(x, 2), Error);
  EXPECT_THROW(tape.variable(f64({1})), Error);
  tape.clear();
  EXPECT_THROW(scale(x, 2), Error);  // from before clear()
  EXPECT_THROW(tape.backward(y), Error);
  EXPECT_THROW(tape.gradient(x), Error);
}

TEST(Tape, BackwardFromAVariableAndFromAVector) {
  Tape tape;
  const Var x = tape.variable(f64({1, 2}));
  tape.backward(x);
  EXPECT_EQ(tape.gradient(x).to_vector(), (Numbers{1, 1}));
}

TEST(Tape, RecordedOpsAfterTheLossDoNotCount) {
  Tape tape;
  const Var x = tape.variable(f64({1}));
  const Var loss = scale(x, 2);
  scale(loss, 100);
  tape.backward(loss);
  EXPECT_EQ(tape.gradient(x).item(), 2);
  EXPECT_EQ(tape.recorded_ops(), 2u);
}

TEST(Tape, LargeClosuresAreRefusedAndManyFit) {
  Tape tape;
  const Var x = tape.variable(f64({1}));
  struct Big {
    char bytes[70000];
  };
  EXPECT_THROW(record("big", {x}, f64({1}), [big = Big{}](const Tensor&, Grads&) { (void)big; }),
               Error);
  struct Half {
    char bytes[30000];
  };
  Var y = x;
  for (int i = 0; i < 100; ++i) {
    y = record("half", {y}, f64({1}),
               [half = Half{}](const Tensor& dy, Grads& dx) { dx[0].accept(dy), (void)half; });
  }
  tape.backward(y);
  EXPECT_EQ(tape.gradient(x).item(), 1);
}

}  // namespace
}  // namespace enas::test
