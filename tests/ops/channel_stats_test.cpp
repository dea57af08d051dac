#include "ops/channel_stats.h"

#include <gtest/gtest.h>

#include "tensor/philox.h"
#include "tests/ops/image_reference.h"

namespace enas::test {
namespace {

OpCase stats_case(std::string label, const Shape& shape, double low, double high) {
  const auto channels = static_cast<size_t>(shape[-1]);
  OpCase c;
  c.label = std::move(label);
  c.inputs = {in(shape, low, high)};
  c.op = [](Tape&, const std::vector<Var>& x) {
    const ChannelStats s = channel_stats(x[0].value());
    return std::vector<Var>{s.mean, s.variance};
  };
  c.reference = [channels](const std::vector<Values>& x) {
    const RefStats s = ref_stats(x[0], channels);
    return std::vector<Values>{s.mean, s.variance};
  };
  c.gradient = false;
  c.sum_length = shape.numel() / shape[-1];
  c.flops = static_cast<double>(shape.numel()) * 4;
  c.bytes = static_cast<double>(shape.numel()) * 4;
  return c;
}
OpCase with_bench(OpCase c) {
  c.bench = true;
  return c;
}

OP_CASES(channel_stats, stats_case("1x1", {1, 1}, -1, 1), stats_case("4", {4}, -1, 1),
         stats_case("2x7x5x5", {2, 7, 5, 5}, -1, 1), stats_case("3x7x5x17", {3, 7, 5, 17}, -1, 1),
         stats_case("2x8x8x36", {2, 8, 8, 36}, -1, 1), stats_case("9x300", {9, 300}, -1, 1),
         stats_case("700x144", {700, 144}, 0, 1),
         with_bench(stats_case("64x32x32x20", {64, 32, 32, 20}, -1, 1)),
         with_bench(stats_case("64x32x32x36", {64, 32, 32, 36}, -1, 1)));

// A mean that is large beside the deviation: a difference of squares in f32 would lose it all.
TEST(ChannelStats, VarianceOfSmallDeviationsSurvivesALargeMean) {
  const Random random{5, Stream::test, 0};
  Values x(64 * 256 * 3);
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<double>(static_cast<float>(1000 + static_cast<double>(random.uniform(i))));
  }
  const RefStats want = ref_stats(x, 3);
  const ChannelStats got = channel_stats(Tensor::from(x, {64, 16, 16, 3}));
  EXPECT_EQ(got.count, 64 * 256);
  for (int64_t c = 0; c < 3; ++c) {
    const double variance = want.variance[static_cast<size_t>(c)];
    EXPECT_NEAR(got.variance.item(c), variance, 1e-4 * variance);
  }
}

TEST(ChannelStats, RefusesWhatHasNoRows) {
  EXPECT_THROW(channel_stats(Tensor()), Error);
  EXPECT_THROW(channel_stats(Tensor({0, 3})), Error);
}

}  // namespace
}  // namespace enas::test
