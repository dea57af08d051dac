// Random search's memory of scored architectures, and what derive gets from it.
#include "nas/baseline.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "nas/rnn/space.h"

namespace enas::test {
namespace {

Architecture numbered(int32_t i) { return {{i}}; }

ScoredCandidates three() {
  ScoredCandidates scored;
  scored.add(numbered(1), 0.2);
  scored.add(numbered(2), 0.5);
  scored.add(numbered(3), 0.1);
  return scored;
}

TEST(RandomBaseline, BestIsByMeanRewardHighestFirst) {
  ScoredCandidates scored = three();
  EXPECT_EQ(scored.best(2), (std::vector<Architecture>{numbered(2), numbered(1)}));
  scored.add(numbered(1), 0.6);  // mean 0.4
  EXPECT_EQ(scored.size(), 3u);
  EXPECT_EQ(scored.best(5), (std::vector<Architecture>{numbered(2), numbered(1), numbered(3)}));
  scored.add(numbered(3), 1.1);  // mean 0.6
  EXPECT_EQ(scored.best(1), (std::vector<Architecture>{numbered(3)}));
}

TEST(RandomBaseline, StateKeepsSumsAndCounts) {
  ScoredCandidates scored = three();
  scored.add(numbered(3), 0.5);  // mean 0.3
  std::map<std::string, Tensor> state;
  scored.state(state, "random.");
  ScoredCandidates loaded;
  loaded.load_state(state, "random.");
  EXPECT_EQ(loaded.best(3), scored.best(3));
  scored.add(numbered(3), 0.9);
  loaded.add(numbered(3), 0.9);  // mean 0.5 of three
  loaded.add(numbered(2), 0.4);  // mean 0.45
  EXPECT_EQ(loaded.best(1), (std::vector<Architecture>{numbered(3)}));
  state.erase("random.counts");
  EXPECT_THROW(loaded.load_state(state, "random."), Error);
}

TEST(RandomBaseline, CandidatesAreTheBestThenFreshOnesAllDistinct) {
  const DecisionList list = RnnSpace(2).decisions({});  // 32 architectures
  constexpr int64_t kN = 20;
  const auto fresh = uniform_architectures(list, kN, Random{7, Stream::uniform_sample, 0});
  ScoredCandidates scored;
  scored.add(fresh[3], 0.1);
  scored.add(fresh[5], 0.9);
  std::vector<Architecture> want = {fresh[5], fresh[3]};
  for (const Architecture& arch : fresh)
    if (std::count(want.begin(), want.end(), arch) == 0) want.push_back(arch);
  EXPECT_LT(want.size(), static_cast<size_t>(kN) + 2);
  const std::vector<Candidate> got = random_candidates(scored, list, kN, 7);
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(got[i].arch, want[i]);
    EXPECT_FALSE(got[i].from_controller);
  }
}

}  // namespace
}  // namespace enas::test
