#include "nn/average.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "nn/init.h"
#include "nn/parameter.h"
#include "ops/grad_norm.h"

namespace enas {
namespace {

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.bytes() == b.bytes() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}
Tensor gate_of(double finite) { return Tensor::from({1, 1, finite, 0}, {kGateSize}, DType::f64); }
const Tensor kOpen = gate_of(1), kClosed = gate_of(0);

struct Model {
  ParameterStore store;
  explicit Model(DType dtype = DType::f64) {
    store.add("a", {7}, dtype);
    store.add("b", {100}, dtype);
  }
  void move(uint64_t step) {
    for (Parameter& p : store) init_normal(p, 1, step);
  }
};
std::map<std::string, Tensor> state_of(const WeightAverage& average) {
  std::map<std::string, Tensor> out;
  average.state(out, "avg.");
  return out;
}

TEST(WeightAverage, IsTheMeanOfTheStepsFromItsStart) {
  Model model;
  WeightAverage average({.start_step = 5});
  std::vector<double> sum(7);
  for (uint64_t step = 0; step < 55; ++step) {
    model.move(step);
    average.update(model.store.all(), static_cast<int64_t>(step), kOpen);
    EXPECT_EQ(average.started(), step >= 5);
    if (step < 5) continue;
    for (int64_t i = 0; i < 7; ++i)
      sum[static_cast<size_t>(i)] += model.store.get("a").value.item(i);
  }
  const Tensor mean = state_of(average).at("avg.average.a");
  for (int64_t i = 0; i < 7; ++i) {
    EXPECT_NEAR(mean.item(i), sum[static_cast<size_t>(i)] / 50, 1e-13);
  }
  EXPECT_EQ(state_of(average).at("avg.count").item(), 50);
}

TEST(WeightAverage, AClosedGateDoesNotCount) {
  Model model, reference;
  WeightAverage average({.start_step = 0}), without({.start_step = 0});
  for (uint64_t step = 0; step < 12; ++step) {
    model.move(step);
    // Closed at the very first step and later: as if those steps had not been.
    const bool closed = step == 0 || step == 7;
    average.update(model.store.all(), static_cast<int64_t>(step), closed ? kClosed : kOpen);
    if (closed) continue;
    reference.move(step);
    without.update(reference.store.all(), static_cast<int64_t>(step), kOpen);
  }
  const auto a = state_of(average), b = state_of(without);
  for (const char* name : {"avg.average.a", "avg.average.b", "avg.count"}) {
    EXPECT_TRUE(same_bits(a.at(name), b.at(name))) << name;
  }
}

TEST(WeightAverage, NonMonotonicTrigger) {
  WeightAverage average({.window = 3});
  // Compared with the best of all earlier evaluations but the last three; the fourth has none.
  const double losses[] = {100, 90, 95, 120, 98, 91, 90.5, 89};
  const bool starts[] = {false, false, false, false, false, true, false, false};
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(average.observe(losses[i]), starts[i]) << i;
  Model model;
  average.update(model.store.all(), 0, kOpen);
  EXPECT_TRUE(average.started());
}

TEST(WeightAverage, FallingLossNeverTriggersAndNanDoes) {
  WeightAverage average({.window = 2}), diverged({.window = 2}), off;
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(average.observe(100 - i));
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(off.observe(i));
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(diverged.observe(10));
  EXPECT_TRUE(diverged.observe(NAN));
  Model model;
  average.update(model.store.all(), 1000, kOpen);
  EXPECT_FALSE(average.started());
}

TEST(WeightAverage, SwapBringsBothBackBitForBit) {
  Model model(DType::f32);
  WeightAverage average({.start_step = 0});
  for (uint64_t step = 0; step < 3; ++step) {
    model.move(step);
    average.update(model.store.all(), static_cast<int64_t>(step), kOpen);
  }
  Parameter& b = model.store.get("b");
  const Tensor weights = b.value.clone(), mean = state_of(average).at("avg.average.b").clone();
  const uint32_t version = b.value.version();
  {
    const WeightAverage::Scope scope(average, model.store.all());
    EXPECT_TRUE(same_bits(b.value, mean));
    EXPECT_GT(b.value.version(), version);
    EXPECT_TRUE(average.swapped());
    EXPECT_THROW(average.update(model.store.all(), 3, kOpen), Error);
    EXPECT_THROW(state_of(average), Error);
    EXPECT_THROW(WeightAverage::Scope(average, model.store.all()), Error);
  }
  EXPECT_FALSE(average.swapped());
  EXPECT_TRUE(same_bits(b.value, weights));
  EXPECT_TRUE(same_bits(state_of(average).at("avg.average.b"), mean));
  EXPECT_FALSE(same_bits(weights, mean));
}

TEST(WeightAverage, AScopeBeforeTheStartEvaluatesTheWeights) {
  Model model;
  model.move(1);
  const Tensor before = model.store.get("a").value.clone();
  WeightAverage average({.start_step = 10});
  {
    const WeightAverage::Scope scope(average, model.store.all());
    EXPECT_TRUE(same_bits(model.store.get("a").value, before));
  }
  EXPECT_THROW(average.swap(model.store.all()), Error);
}

TEST(WeightAverage, StateContinuesToTheSameBits) {
  const double losses[] = {5, 4, 6, 7, 8, 5};
  Model whole, parts;
  WeightAverage first({.window = 2}), second({.window = 2}), third({.window = 2});
  const auto run = [&](Model& model, WeightAverage& average, uint64_t begin, uint64_t end) {
    for (uint64_t k = begin; k < end; ++k) {
      model.move(k);
      average.update(model.store.all(), static_cast<int64_t>(k), kOpen);
      average.observe(losses[k]);
    }
  };
  for (uint64_t cut = 0; cut < 6; ++cut) {
    first = second = third = WeightAverage({.window = 2});
    run(whole, first, 0, 6);
    run(parts, second, 0, cut);
    third.load_state(state_of(second), "avg.");
    run(parts, third, cut, 6);
    const auto a = state_of(first), b = state_of(third);
    ASSERT_EQ(a.size(), b.size());
    EXPECT_TRUE(first.started());
    for (const auto& [name, tensor] : a) EXPECT_TRUE(same_bits(tensor, b.at(name))) << name;
  }
}

TEST(WeightAverage, StrangeStateIsRefused) {
  WeightAverage average;
  EXPECT_THROW(average.load_state({{"x.strange", Tensor::zeros({1}, DType::f64)}}, "x."), Error);
  EXPECT_THROW(average.load_state({{"x.count", Tensor::zeros({1}, DType::f64)}}, "x."), Error);
  EXPECT_THROW(average.load_state({{"x.average.a", Tensor::zeros({1})}}, "x."), Error);
  EXPECT_THROW(average.load_state({{"x.count", Tensor::zeros({1})}}, "x."), Error);
}

}  // namespace
}  // namespace enas
