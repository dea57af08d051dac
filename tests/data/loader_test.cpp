// Streams and windows: every token predicted once at batch 1, layout and contexts at larger
// batches, window lengths against the distribution they follow, and purity in (seed, epoch, step).
#include "data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace enas {
namespace {

std::vector<int32_t> counting(int n) {
  std::vector<int32_t> tokens(static_cast<size_t>(n));
  std::iota(tokens.begin(), tokens.end(), 100);
  return tokens;
}

TEST(TextStreams, LayoutIsTimeMajorAndStreamsAreContiguous) {
  const std::vector<int32_t> tokens = counting(11);  // n = 3, the last two dropped
  const TextStreams streams(tokens, 3, 7);
  EXPECT_EQ(streams.length(), 3);
  const TextWindow first = streams.window(0, 2);
  EXPECT_EQ(first.inputs, (std::vector<int32_t>{7, 102, 105, 100, 103, 106}));
  EXPECT_EQ(first.targets, (std::vector<int32_t>{100, 103, 106, 101, 104, 107}));
  EXPECT_EQ(first.length, 2);
  EXPECT_EQ(first.batch, 3);
  const TextWindow last = streams.window(2, 1);
  EXPECT_EQ(last.inputs, (std::vector<int32_t>{101, 104, 107}));
  EXPECT_EQ(last.targets, (std::vector<int32_t>{102, 105, 108}));
}

TEST(TextStreams, AtBatchOneEveryTokenIsPredictedOnceAfterALeadingEos) {
  const std::vector<int32_t> tokens = counting(103);
  const TextStreams streams(tokens, 1, 7);
  std::vector<int32_t> targets, inputs;
  for (const WindowSpan& span :
       WindowPlan(WindowPlan::Kind::whole, streams.length(), 10, 1).epoch(0)) {
    const TextWindow window = streams.window(span.start, span.length);
    targets.insert(targets.end(), window.targets.begin(), window.targets.end());
    inputs.insert(inputs.end(), window.inputs.begin(), window.inputs.end());
  }
  EXPECT_EQ(targets, tokens);
  std::vector<int32_t> shifted = {7};
  shifted.insert(shifted.end(), tokens.begin(), tokens.end() - 1);
  EXPECT_EQ(inputs, shifted);
}

TEST(TextStreams, RefusesWhatDoesNotFit) {
  const std::vector<int32_t> tokens = counting(5);
  EXPECT_THROW(TextStreams(tokens, 6, 0), Error);
  EXPECT_THROW(TextStreams(tokens, 0, 0), Error);
  const TextStreams streams(tokens, 2, 0);
  EXPECT_THROW(streams.window(0, 3), Error);
  EXPECT_THROW(streams.window(2, 1), Error);
  EXPECT_THROW(streams.window(-1, 1), Error);
  EXPECT_THROW(streams.window(0, 0), Error);
  EXPECT_THROW(WindowPlan(WindowPlan::Kind::fixed, 5, 0, 1), Error);
}

// docs/method.md 1.1: 1,327 windows at 20 x 35, 414 at 64 x 35, 207 at 128 x 35 on the Penn
// Treebank.
TEST(WindowPlan, FixedWindowsDropTheTail) {
  const std::pair<int64_t, size_t> cases[] = {{20, 1327}, {64, 414}, {128, 207}};
  for (const auto& [batch, windows] : cases) {
    const auto spans = WindowPlan(WindowPlan::Kind::fixed, 929589 / batch, 35, 1).epoch(0);
    EXPECT_EQ(spans.size(), windows);
    for (size_t i = 0; i < spans.size(); ++i) {
      EXPECT_EQ(spans[i].length, 35);
      EXPECT_EQ(spans[i].start, static_cast<int64_t>(35 * i));
    }
  }
  EXPECT_EQ(WindowPlan(WindowPlan::Kind::fixed, 9, 35, 1).epoch(0).size(), 1u);
}

TEST(WindowPlan, VariableWindowsCoverTheStreamUpToTwoPositions) {
  for (int64_t epoch = 0; epoch < 50; ++epoch) {
    int64_t end = 0;
    for (const WindowSpan& span :
         WindowPlan(WindowPlan::Kind::variable, 7262, 35, 3).epoch(epoch)) {
      EXPECT_EQ(span.start, end);
      EXPECT_GE(span.length, 1);
      EXPECT_LE(span.length, 45);
      end += span.length;
    }
    EXPECT_LE(end, 7262);
    EXPECT_GT(end, 7262 - 3);
  }
}

TEST(WindowPlan, AVariableEpochEndsWhenFewerThanThreePositionsAreLeft) {
  const WindowPlan plan(WindowPlan::Kind::variable, 100, 35, 3);
  EXPECT_EQ(plan.length(0, 9, 97), 3);
  EXPECT_EQ(plan.length(0, 9, 98), 0);
  EXPECT_EQ(plan.length(0, 9, 100), 0);
}

TEST(WindowPlan, VariableLengthsArePureInSeedEpochAndStep) {
  const WindowPlan plan(WindowPlan::Kind::variable, 100000, 35, 3);
  const WindowPlan again(WindowPlan::Kind::variable, 100000, 35, 3);
  const WindowPlan other(WindowPlan::Kind::variable, 100000, 35, 4);
  int same_epoch = 0, same_seed = 0, same_step = 0;
  for (int64_t step = 0; step < 1000; ++step) {
    const int64_t length = plan.length(2, step, 0);
    EXPECT_EQ(again.length(2, step, 5000), length);
    same_epoch += plan.length(3, step, 0) == length;
    same_seed += other.length(2, step, 0) == length;
    same_step += plan.length(2, step + 1, 0) == length;
  }
  for (const int same : {same_epoch, same_seed, same_step}) EXPECT_LT(same, 150);
}

// int() of a normal of sigma 5 cut at two sigmas around 35 (p = .95) or 17.5: the exact probability
// of each length.
TEST(WindowPlan, VariableLengthsFollowTheTruncatedNormals) {
  const int draws = 100000;
  std::vector<double> counts(60);
  const WindowPlan plan(WindowPlan::Kind::variable, 1000, 35, 11);
  for (int step = 0; step < draws; ++step) ++counts[static_cast<size_t>(plan.length(0, step, 0))];
  const auto phi = [](double z) { return .5 * std::erfc(-z / std::sqrt(2.)); };
  const double inside = phi(2) - phi(-2);
  for (int length = 0; length < 60; ++length) {
    double p = 0;
    for (const double base : {35., 17.5}) {
      const auto below = [&](double x) { return phi(std::clamp((x - base) / 5, -2., 2.)); };
      p += (base == 35 ? .95 : .05) * (below(length + 1) - below(length)) / inside;
    }
    EXPECT_NEAR(counts[static_cast<size_t>(length)] / draws, p,
                4.5 * std::sqrt(p * (1 - p) / draws))
        << length;
  }
}

TEST(WindowPlan, ShortBasesGiveAtLeastOnePosition) {
  const WindowPlan plan(WindowPlan::Kind::variable, 1000, 2, 1);
  bool one = false;
  for (int step = 0; step < 200; ++step) {
    const int64_t length = plan.length(0, step, 0);
    EXPECT_GE(length, 1);
    EXPECT_LE(length, 12);
    one = one || length == 1;
  }
  EXPECT_TRUE(one);
}

}  // namespace
}  // namespace enas
