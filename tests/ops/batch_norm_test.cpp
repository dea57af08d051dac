#include "ops/batch_norm.h"

#include <gtest/gtest.h>

#include <cstring>

#include "ops/grad_norm.h"
#include "tests/ops/image_reference.h"

namespace enas::test {
namespace {

constexpr double kEpsilon = 1e-3;

// Inputs x, scale, offset; with StatsUse::running also mean and variance, constants.
struct NormCase {
  Shape shape;
  bool relu = false, running = false, bench = false;
};

RefStats stats_of(const NormCase& s, const std::vector<Values>& in) {
  return s.running ? RefStats{in[3], in[4]} : ref_stats(in[0], in[1].size());
}

std::vector<InputSpec> norm_inputs(const NormCase& s) {
  const Shape channels{s.shape[-1]};
  std::vector<InputSpec> inputs = {in(s.shape, -1, 1.5), in(channels, 0.5, 1.5), in(channels)};
  if (s.running) {
    inputs.push_back(constant(channels));
    inputs.push_back(constant(channels, 0.25, 1));
  }
  return inputs;
}

OpCase norm_case(std::string label, const NormCase& s) {
  OpCase c;
  c.label = std::move(label);
  c.inputs = norm_inputs(s);
  c.op = [s](Tape&, const std::vector<Var>& x) {
    const ChannelStats stats =
        s.running ? ChannelStats{x[3].value(), x[4].value(), 0} : channel_stats(x[0].value());
    return std::vector<Var>{batch_norm(x[0], stats, {x[1], x[2], kEpsilon, s.relu},
                                       s.running ? StatsUse::running : StatsUse::batch)};
  };
  c.reference = [s](const std::vector<Values>& in) {
    const Values z = ref_norm(in[0], stats_of(s, in), in[1], in[2], kEpsilon);
    return std::vector<Values>{s.relu ? ref_relu(z) : z};
  };
  const bool large = s.shape.numel() > 4000;  // no draw is away from all kinks
  if (s.relu && !large) {
    c.kink_margin = [s](const std::vector<Values>& in) {
      return smallest(ref_norm(in[0], stats_of(s, in), in[1], in[2], kEpsilon));
    };
  }
  c.check = {.step = 1e-4, .relative = 1e-7};
  if (large) c.check = {.step = 1e-6, .relative = 1e-2, .most_elements = 1}, c.draws = 1;
  c.sum_length = s.shape.numel() / s.shape[-1];
  c.f64_relative = 1e-11;
  c.bench = s.bench;
  c.flops = static_cast<double>(s.shape.numel()) * 4;
  c.bytes = static_cast<double>(s.shape.numel()) * 8;
  return c;
}

OP_CASES(batch_norm, norm_case("2x7x5x5", {{2, 7, 5, 5}}),
         norm_case("2x7x5x5_relu", {{2, 7, 5, 5}, true}),
         norm_case("2x3x2x17_relu", {{2, 3, 2, 17}, true}), norm_case("3x4x4x36", {{3, 4, 4, 36}}),
         norm_case("2x7x5x5_running", {{2, 7, 5, 5}, false, true}),
         norm_case("2x7x5x5_running_relu", {{2, 7, 5, 5}, true, true}),
         norm_case("64x32x32x20_relu", {{64, 32, 32, 20}, true, false, true}),
         norm_case("64x32x32x36_relu", {{64, 32, 32, 36}, true, false, true}));

OpCase materialize_case(std::string label, const Shape& shape) {
  OpCase c = norm_case(std::move(label), {shape, true});
  c.op = [](Tape&, const std::vector<Var>& x) {
    return std::vector<Var>{materialize(deferred(x[0], x[1], x[2], kEpsilon, true))};
  };
  return c;
}
OP_CASES(materialize, materialize_case("2x3x5x4", {2, 3, 5, 4}));

Tensor gate_of(bool open, Device device) {
  return Tensor::from({1, 1, open ? 1.0 : 0.0, 2}, {kGateSize}, DType::f64).to(device);
}

// Inputs: mean, variance, batch mean, batch variance.
OpCase running_case(std::string label, int64_t channels, bool open) {
  OpCase c;
  c.label = std::move(label);
  c.inputs = {in({channels}), in({channels}, 0.5, 1), in({channels}), in({channels}, 0.5, 1)};
  c.op = [open](Tape&, const std::vector<Var>& x) {
    RunningItem item{x[0].value().clone(), x[1].value().clone(), {x[2].value(), x[3].value(), 5}};
    running_update({&item, 1}, 0.75, gate_of(open, item.mean.device()));
    return std::vector<Var>{item.mean, item.variance};
  };
  c.reference = [open](const std::vector<Values>& in) {
    std::vector<Values> out = {in[0], in[1]};
    for (size_t i = 0; i < in[0].size() && open; ++i) {
      out[0][i] = 0.75 * in[0][i] + 0.25 * in[2][i];
      out[1][i] = 0.75 * in[1][i] + 0.25 * in[3][i] * 5 / 4;
    }
    return out;
  };
  c.gradient = false;
  return c;
}
OP_CASES(running_update, running_case("17_open", 17, true), running_case("17_closed", 17, false),
         running_case("300_open", 300, true));

TEST(RunningUpdate, AClosedGateKeepsEveryBit) {
  Tensor mean = Tensor::from({1, NAN}, {2}), variance = Tensor::from({2, -0.0}, {2});
  const Tensor before = mean.clone(), variance_before = variance.clone();
  RunningItem item{mean, variance, {Tensor::full({2}, NAN), Tensor::full({2}, NAN), 9}};
  running_update({&item, 1}, 0.9, gate_of(false, Device::cpu));
  EXPECT_EQ(std::memcmp(mean.raw(), before.raw(), mean.bytes()), 0);
  EXPECT_EQ(std::memcmp(variance.raw(), variance_before.raw(), variance.bytes()), 0);
}

// One element a channel: there is no unbiased variance, so the biased one (0) counts.
TEST(RunningUpdate, ABatchOfOneElementGivesNoInfinity) {
  RunningItem item{Tensor::full({1}, 1), Tensor::full({1}, 1), channel_stats(Tensor::full({1}, 3))};
  running_update({&item, 1}, 0.5, gate_of(true, Device::cpu));
  EXPECT_EQ(item.mean.item(), 2);
  EXPECT_EQ(item.variance.item(), 0.5);
}

TEST(BatchNorm, RefusesStatisticsOfOtherChannels) {
  const Tensor x = Tensor::zeros({2, 3}), two = Tensor::full({2}, 1), three = Tensor::full({3}, 1);
  const ChannelStats fits{three, three, 2}, narrow{two, two, 2};
  EXPECT_THROW(batch_norm(x, narrow, {three, three}, StatsUse::batch), Error);
  EXPECT_THROW(batch_norm(x, fits, {two, three}, StatsUse::batch), Error);
  EXPECT_THROW(batch_norm(x, {}, {three, three}, StatsUse::running), Error);
  EXPECT_NO_THROW(batch_norm(x, fits, {three, three}, StatsUse::batch));
}

TEST(BatchNorm, NanTravelsThroughTheRelu) {
  const Tensor one = Tensor::full({1}, 1), zero = Tensor::zeros({1});
  const Tensor x = Tensor::from({NAN, -1, 2}, {3, 1});
  const Tensor y = batch_norm(x, {zero, one, 0}, {one, zero, 0, true}, StatsUse::running).value();
  EXPECT_TRUE(std::isnan(y.item(0)));
  EXPECT_EQ(y.item(1), 0);
  EXPECT_EQ(y.item(2), 2);
}

}  // namespace
}  // namespace enas::test
