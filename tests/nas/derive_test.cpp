// Candidates of derive: distinct, ranked, the two groups compared; and the uniform baseline.
#include "nas/derive.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "tests/nas/small_task.h"

namespace enas::test {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

// Candidate i has the architecture {i} and the i-th score.
std::vector<Candidate> scored(const std::vector<double>& scores) {
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < scores.size(); ++i)
    candidates.push_back({{{static_cast<int32_t>(i)}}, i % 2 == 0, scores[i]});
  return candidates;
}
std::vector<int> order_of(const std::vector<Candidate>& candidates) {
  std::vector<int> order;
  for (const Candidate& c : candidates) order.push_back(c.arch.choices[0]);
  return order;
}

TEST(Derive, CandidatesAreDistinctAndTheGroupsTakeTurns) {
  // 2! * 4^2 = 32 architectures: 60 samples must repeat some.
  const Controller controller(RnnSpace(2).decisions({}), kActivations, {}, 1);
  const int64_t n = 60;
  const auto candidates = derive_candidates(controller, n, 5);
  std::set<Architecture> distinct;
  for (const Candidate& c : candidates) EXPECT_TRUE(distinct.insert(c.arch).second);
  // Each group is its samples in order without repeats; one in both is the controller's.
  std::vector<Candidate> own, uniform;
  std::set<Architecture> seen;
  const auto sampled = architectures_of(controller.sample(n, Random{5, Stream::derive_sample, 0}));
  for (const Architecture& arch : sampled)
    if (seen.insert(arch).second) own.push_back({arch, true, 0});
  size_t in_both = 0;
  for (const Architecture& arch :
       uniform_architectures(controller.decisions(), n, Random{5, Stream::uniform_sample, 0})) {
    in_both += std::count(sampled.begin(), sampled.end(), arch) > 0 ? 1 : 0;
    if (seen.insert(arch).second) uniform.push_back({arch, false, 0});
  }
  // In turn, what the longer group has more at the end: a derive cut short has as many of either.
  std::vector<Candidate> want;
  for (size_t i = 0; i < std::max(own.size(), uniform.size()); ++i) {
    if (i < own.size()) want.push_back(own[i]);
    if (i < uniform.size()) want.push_back(uniform[i]);
  }
  EXPECT_GT(in_both, 0u);
  EXPECT_LT(own.size(), static_cast<size_t>(n));
  ASSERT_FALSE(uniform.empty());
  ASSERT_EQ(candidates.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(candidates[i].arch, want[i].arch);
    EXPECT_EQ(candidates[i].from_controller, want[i].from_controller);
  }
}

TEST(Derive, CandidatesAreAFunctionOfTheSeed) {
  const Controller controller(RnnSpace(8).decisions({}), kActivations, {}, 1);
  const auto architectures = [&](uint64_t seed) {
    std::vector<Architecture> list;
    for (const Candidate& c : derive_candidates(controller, 20, seed)) list.push_back(c.arch);
    return list;
  };
  EXPECT_EQ(architectures(1), architectures(1));
  EXPECT_NE(architectures(1), architectures(2));
  EXPECT_EQ(architectures(1).size(), 40u);  // none alike among 2.6e9
}

TEST(Derive, RankPutsTheBestFirst) {
  const auto candidates = scored({3, 1, 2, 5, 4});
  EXPECT_EQ(order_of(rank(candidates, Better::lower)), (std::vector<int>{1, 2, 0, 4, 3}));
  EXPECT_EQ(order_of(rank(candidates, Better::higher)), (std::vector<int>{3, 4, 0, 2, 1}));
  EXPECT_TRUE(rank({}, Better::lower).empty());
}

TEST(Derive, RankKeepsTheOrderOfTies) {
  std::vector<double> scores(40, 1.0);  // more than any sort handles by insertion
  scores[7] = scores[30] = 0.5;
  std::vector<int> lower = {7, 30}, higher;
  for (int i = 0; i < 40; ++i) {
    if (i == 7 || i == 30) continue;
    lower.push_back(i);
    higher.push_back(i);
  }
  higher.insert(higher.end(), {7, 30});
  EXPECT_EQ(order_of(rank(scored(scores), Better::lower)), lower);
  EXPECT_EQ(order_of(rank(scored(scores), Better::higher)), higher);
}

TEST(Derive, ScoresThatAreNotFiniteComeLast) {
  const auto candidates = scored({kNan, 2, kInf, 1, -kInf, 3});
  for (const Better better : {Better::lower, Better::higher}) {
    EXPECT_EQ(order_of(rank(candidates, better)), better == Better::lower
                                                      ? (std::vector<int>{3, 1, 5, 0, 2, 4})
                                                      : (std::vector<int>{5, 1, 3, 0, 2, 4}));
  }
}

// Every order of a few scores with bad ones among them: a comparison that is no strict weak order
// would give an answer that depends on the order.
TEST(Derive, RankDoesNotDependOnWhereBadScoresStand) {
  std::vector<double> scores = {1, 2, 3, 4, kNan, kInf, -kInf};
  std::vector<size_t> at(scores.size());
  std::iota(at.begin(), at.end(), 0);
  do {
    std::vector<double> permuted;
    for (const size_t i : at) permuted.push_back(scores[i]);
    const auto ranked = rank(scored(permuted), Better::lower);
    for (size_t i = 0; i < 4; ++i) ASSERT_EQ(ranked[i].score, static_cast<double>(i + 1));
    for (size_t i = 5; i < 7; ++i)
      ASSERT_LT(ranked[i - 1].arch.choices[0], ranked[i].arch.choices[0]);  // as they stood
  } while (std::next_permutation(at.begin(), at.end()));
}

TEST(Derive, StatisticsAreThoseOfTheTextbook) {
  const Random random{3};
  std::vector<double> scores;
  for (uint64_t i = 0; i < 41; ++i) scores.push_back(1e4 + random.uniform53(i));
  const auto candidates = scored(scores);
  for (const bool from_controller : {true, false}) {
    std::vector<double> group;
    for (const Candidate& c : candidates)
      if (c.from_controller == from_controller) group.push_back(c.score);
    const double n = static_cast<double>(group.size());
    const double mean = std::accumulate(group.begin(), group.end(), 0.0) / n;
    double squares = 0;
    for (const double score : group) squares += (score - mean) * (score - mean);
    const GroupStatistics have = statistics_of(candidates, from_controller);
    EXPECT_EQ(have.size, group.size());
    EXPECT_NEAR(have.mean, mean, 1e-9);
    EXPECT_NEAR(have.deviation, std::sqrt(squares / (n - 1)), 1e-9);
  }
  const GroupStatistics one = statistics_of(scored({7}), true), none = statistics_of({}, true);
  EXPECT_EQ(one.size, 1u);
  EXPECT_EQ(one.mean, 7);
  EXPECT_EQ(one.deviation, 0);
  EXPECT_EQ(none.size, 0u);
}

// Controller 10 and 14 (mean 12, sd sqrt 8), uniform 20, 22, 24 (mean 22, sd 2): two standard
// errors 2 sqrt(8 / 2 + 4 / 3) = 4.6188.
TEST(Derive, GroupsAreComparedInWords) {
  const auto compare = [](std::span<const Candidate> of) {
    return compare_groups(of, [](double v) { return std::to_string(v).substr(0, v < 0 ? 6 : 5); });
  };
  std::vector<Candidate> candidates = {
      {{}, true, 10}, {{}, false, 20}, {{}, true, 14}, {{}, false, 22}, {{}, false, 24}};
  EXPECT_EQ(compare(candidates),
            "controller 2: mean 12.00, sd 2.828; uniform 3: mean 22.00, sd 2.000; "
            "difference -10.00 (2 standard errors 4.618)");
  // One candidate has no spread, and its mean no error.
  EXPECT_EQ(compare(std::span(candidates).first(2)),
            "controller 1: mean 10.00; uniform 1: mean 20.00; difference -10.00");
  EXPECT_EQ(compare(std::span(candidates).first(1)), "controller 1: mean 10.00");
}

TEST(Uniform, EveryArchitectureIsAsLikely) {
  const RnnSpace space(2);
  const auto all = all_architectures(space);
  ASSERT_EQ(all.size(), 32u);
  const int64_t samples = 32000;
  std::map<Architecture, int64_t> counts;
  for (const Architecture& arch :
       uniform_architectures(space.decisions({}), samples, Random{11, Stream::uniform_sample, 0}))
    ++counts[arch];
  const double expected = static_cast<double>(samples) / 32;
  double chi_square = 0;
  for (const Architecture& arch : all) {
    const double difference = static_cast<double>(counts[arch]) - expected;
    chi_square += difference * difference / expected;
  }
  EXPECT_EQ(counts.size(), 32u);
  EXPECT_LT(chi_square, 61.1);  // 31 degrees of freedom, p = 0.001
  EXPECT_GT(chi_square, 9);     // 2e-5: not evenly dealt either
}

TEST(Uniform, IsDeterministicAndContinues) {
  const DecisionList list = RnnSpace(5).decisions({});
  const Random random{11, Stream::uniform_sample, 3};
  const auto all = uniform_architectures(list, 30, random);
  EXPECT_EQ(uniform_architectures(list, 30, random), all);
  const auto head = uniform_architectures(list, 12, random);
  const auto tail = uniform_architectures(list, 18, random, 12);
  EXPECT_TRUE(std::equal(head.begin(), head.end(), all.begin()));
  EXPECT_TRUE(std::equal(tail.begin(), tail.end(), all.begin() + 12));
  EXPECT_NE(uniform_architectures(list, 30, Random{11, Stream::uniform_sample, 4}), all);
  EXPECT_NE(uniform_architectures(list, 30, Random{12, Stream::uniform_sample, 3}), all);
  for (const Architecture& arch : all) EXPECT_EQ(arch.choices.size(), 10u);
}

}  // namespace
}  // namespace enas::test
