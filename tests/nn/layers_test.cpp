// Layers of the convolutional networks: initial values, lists of sources against their
// concatenation, normalisation by batch and running statistics, masks.
#include "nn/layers.h"

#include <gtest/gtest.h>

#include <cmath>

#include "nn/init.h"
#include "ops/grad_norm.h"
#include "ops/reduce.h"

namespace enas::test {
namespace {

double deviation(const Tensor& t) {
  double sum = 0, squares = 0;
  for (const double v : t.to_vector()) sum += v, squares += v * v;
  const auto n = static_cast<double>(t.numel());
  return std::sqrt(squares / n - sum / n * (sum / n));
}

Tensor random_tensor(const Shape& shape, const std::string& name) {
  Parameter p{name, Tensor(shape, DType::f64), Tensor()};
  init_uniform(p, 1, 3);
  return p.value;
}

// sigma = sqrt(2 / fan-in): k k C_in, depthwise k k C, of a concatenation its channels.
TEST(Layers, WeightsAreHeNormal) {
  ParameterStore store;
  const LayerMaker make(store, 1, DType::f32, false);
  const auto expect_sigma = [](const Parameter* p, double fan_in) {
    const double want = std::sqrt(2 / fan_in);
    EXPECT_NEAR(deviation(p->value), want,
                4 * want / std::sqrt(2 * static_cast<double>(p->value.numel())))
        << p->name;
  };
  expect_sigma(make.conv("conv", 3, 20, 30).weight, 9 * 20);
  const SeparableBn separable = make.separable("separable", 5, 90, 40);
  expect_sigma(separable.depthwise, 25 * 90);
  expect_sigma(separable.pointwise, 90);
  const std::array<int64_t, 2> widths = {30, 50};
  for (const Parameter* block : make.pointwise("list", widths, 40).blocks) expect_sigma(block, 80);
  const ReductionBn reduction = make.reduction("reduction", 40, 61);
  EXPECT_EQ(reduction.blocks[0].even->value.shape(), (Shape{40, 30}));
  EXPECT_EQ(reduction.blocks[0].odd->value.shape(), (Shape{40, 31}));
  expect_sigma(reduction.blocks[0].odd, 40);
  expect_sigma(make.linear("head", 200, 10), 200);
  EXPECT_TRUE(store.buffers().empty());
}

TEST(Layers, InitialValuesDependOnSeedAndNameAlone) {
  const auto value = [](uint64_t seed, const std::string& first, const std::string& second) {
    ParameterStore store;
    const LayerMaker make(store, seed, DType::f64, false);
    make.conv(first, 3, 2, 3);
    make.conv(second, 3, 2, 3);
    return store.get("b.weight").value.to_vector();
  };
  EXPECT_EQ(value(1, "a", "b"), value(1, "b", "a"));
  EXPECT_NE(value(1, "a", "b"), value(2, "a", "b"));
}

TEST(Layers, NormsStartAsIdentities) {
  ParameterStore store;
  const BatchNorm norm = LayerMaker(store, 1, DType::f32, true).norm("norm", 3);
  EXPECT_EQ(norm.scale->value.to_vector(), std::vector<double>(3, 1));
  EXPECT_EQ(norm.offset->value.to_vector(), std::vector<double>(3, 0));
  EXPECT_EQ(norm.mean->value.to_vector(), std::vector<double>(3, 0));
  EXPECT_EQ(norm.variance->value.to_vector(), std::vector<double>(3, 1));
  EXPECT_EQ(norm.epsilon, 1e-5);
  EXPECT_EQ(store.count(), 6);
}

// Lists of sources against one source that is their concatenation.
class Lists : public testing::Test {
 protected:
  // [2, 3, 3, 2] and [2, 3, 3, 1], and [2, 3, 3, 3] of both.
  const Tensor a_ = random_tensor({2, 3, 3, 2}, "a"), b_ = random_tensor({2, 3, 3, 1}, "b");
  const std::array<Var, 2> list_ = {a_, b_};
  const std::array<int64_t, 2> widths_ = {2, 1};
  Tensor joined() const {
    std::vector<double> values;
    for (int64_t i = 0; i < 18; ++i)
      values.insert(values.end(), {a_.item(2 * i), a_.item(2 * i + 1), b_.item(i)});
    return Tensor::from(values, {2, 3, 3, 3}, DType::f64);
  }
  // Rows of the blocks, one under the other.
  static void stack(Parameter* whole, const Parameter* top, const Parameter* bottom) {
    std::vector<double> values = top->value.to_vector();
    const std::vector<double> more = bottom->value.to_vector();
    values.insert(values.end(), more.begin(), more.end());
    whole->value.copy_from(Tensor::from(values, whole->value.shape(), DType::f64));
  }
  static void expect_equal(const RawConv& a, const RawConv& b) {
    ASSERT_EQ(a.y.shape(), b.y.shape());
    for (int64_t i = 0; i < a.y.numel(); ++i)
      EXPECT_NEAR(a.y.value().item(i), b.y.value().item(i), 1e-12);
    for (int64_t c = 0; c < a.stats.mean.numel(); ++c) {
      EXPECT_NEAR(a.stats.mean.item(c), b.stats.mean.item(c), 1e-12);
      EXPECT_NEAR(a.stats.variance.item(c), b.stats.variance.item(c), 1e-12);
    }
  }
  ParameterStore store_;
  const LayerMaker make_{store_, 1, DType::f64, false};
  Tape tape_;
  Pass pass_{tape_, {}};
};

TEST_F(Lists, PointwiseReadsAConcatenation) {
  const PointwiseBn list = make_.pointwise("list", widths_, 4),
                    whole = make_.pointwise("one", 3, 4);
  stack(whole.blocks[0], list.blocks[0], list.blocks[1]);
  for (const bool relu : {false, true})
    expect_equal(list.forward(pass_, list_, relu), whole.forward(pass_, Var(joined()), relu));
}

TEST_F(Lists, ReductionReadsAConcatenation) {
  const ReductionBn list = make_.reduction("list", widths_, 5),
                    whole = make_.reduction("one", 3, 5);
  stack(whole.blocks[0].even, list.blocks[0].even, list.blocks[1].even);
  stack(whole.blocks[0].odd, list.blocks[0].odd, list.blocks[1].odd);
  for (const bool relu : {false, true})
    expect_equal(list.forward(pass_, list_, relu), whole.forward(pass_, Var(joined()), relu));
}

TEST_F(Lists, WhatIsMissingIsRefused) {
  EXPECT_THROW(PointwiseBn().forward(pass_, list_, false), Error);
  EXPECT_THROW(ReductionBn().forward(pass_, list_, false), Error);
  EXPECT_THROW(ConvBn().forward(pass_, a_), Error);
}

class Norms : public testing::Test {
 protected:
  Norms() { norm_ = LayerMaker(store_, 1, DType::f64, true).norm("norm", 2); }
  ParameterStore store_;
  BatchNorm norm_;
  const Tensor x_ = random_tensor({4, 3, 3, 2}, "x");
};

TEST_F(Norms, BatchStatisticsAreCollectedOnlyWhenAsked) {
  for (const bool collect : {false, true}) {
    PassMode mode;
    mode.collect = collect;
    Tape tape;
    Pass pass(tape, mode);
    const Var y = pass.now(Var(x_), norm_);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < 36; ++i)
      sum += y.value().item(2 * i), squares += y.value().item(2 * i) * y.value().item(2 * i);
    EXPECT_NEAR(sum, 0, 1e-10);
    EXPECT_NEAR(squares / 36, 1, 1e-3);
    EXPECT_EQ(pass.take_collected().size(), collect ? 1u : 0u);
  }
}

// running = 0.9 running + 0.1 batch, its variance unbiased; a closed gate leaves them.
TEST_F(Norms, RunningStatisticsMoveByATenth) {
  const auto step = [&](double finite) {
    PassMode mode;
    mode.collect = true;
    Tape tape;
    Pass pass(tape, mode);
    pass.now(Var(x_), norm_);
    RunningLog log;
    log.add(pass.take_collected());
    log.update(Tensor::from({1, finite, finite, 1}, {kGateSize}, DType::f64));
    log.update(Tensor::from({1, 1, 1, 1}, {kGateSize}, DType::f64));  // nothing is left to fold in
  };
  step(0);
  EXPECT_EQ(norm_.mean->value.item(0), 0);
  EXPECT_EQ(norm_.variance->value.item(0), 1);
  step(1);
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < 36; ++i)
    sum += x_.item(2 * i), squares += x_.item(2 * i) * x_.item(2 * i);
  EXPECT_NEAR(norm_.mean->value.item(0), 0.1 * sum / 36, 1e-12);
  EXPECT_NEAR(norm_.variance->value.item(0), 0.9 + 0.1 * (squares - sum * sum / 36) / 35, 1e-12);
  PassMode running;
  running.running = true;
  Tape tape;
  Pass pass(tape, running);
  const Var y = pass.now(Var(x_), norm_);
  EXPECT_NEAR(
      y.value().item(0),
      (x_.item(0) - norm_.mean->value.item(0)) / std::sqrt(norm_.variance->value.item(0) + 1e-5),
      1e-12);
}

TEST_F(Norms, FrozenWeightsAreConstants) {
  Tape tape;
  Pass pass(tape, {});
  const Var x = tape.variable(x_);
  pass.freeze(true);
  const Var frozen = pass.now(x, norm_);
  pass.freeze(false);
  EXPECT_TRUE(tape.parameters().empty());
  const Var both = pass.now(frozen, norm_);
  tape.backward(sum(both));
  EXPECT_EQ(tape.parameters().size(), 2u);
  EXPECT_TRUE(tape.gradient(x).defined());
}

// Masks are functions of (seed, draw); off where nothing is to be dropped.
TEST(Layers, MasksOfHeadAndPaths) {
  ParameterStore store;
  Parameter* linear = LayerMaker(store, 1, DType::f64, false).linear("head", 50, 2);
  const Tensor x = random_tensor({3, 50}, "features");
  const auto logits = [&](bool dropout, uint64_t draw) {
    PassMode mode;
    mode.dropout = dropout, mode.draw = draw;
    Tape tape;
    return Pass(tape, mode).classify(x, linear, 0.5).value().to_vector();
  };
  EXPECT_EQ(logits(true, 1), logits(true, 1));
  EXPECT_NE(logits(true, 1), logits(true, 2));
  EXPECT_NE(logits(true, 1), logits(false, 1));
  EXPECT_EQ(logits(false, 1), logits(false, 2));
  Tape tape;
  const auto keep = [&](uint64_t draw, int64_t edge, double rate) {
    PassMode mode;
    mode.draw = draw;
    const Tensor t = Pass(tape, mode).drop_path(edge, rate, 200, DType::f64, Device::cpu);
    return t.defined() ? t.to_vector() : std::vector<double>();
  };
  EXPECT_TRUE(keep(0, 0, 1).empty());
  EXPECT_EQ(keep(0, 0, 0.7), keep(0, 0, 0.7));
  EXPECT_NE(keep(0, 0, 0.7), keep(0, 1, 0.7));
  EXPECT_NE(keep(0, 0, 0.7), keep(1, 0, 0.7));
  for (const double factor : keep(0, 0, 0.8)) EXPECT_TRUE(factor == 0 || factor == 1 / 0.8);
}

}  // namespace
}  // namespace enas::test
