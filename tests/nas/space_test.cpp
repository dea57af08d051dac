// The recurrent-cell space: text form (docs/interface.md "Architecture text"), what it refuses and
// how it says so, decoded cells, number of architectures (docs/method.md sections 1.2, 1.4, 8).
#include "nas/rnn/space.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tensor/check.h"

namespace enas {
namespace {

Architecture random_architecture(const RnnSpace& space, uint64_t seed) {
  return uniform_architectures(space.decisions({}), 1, Random{seed, Stream::test, 0}).front();
}

// The text of the refusal, which must be of kind usage.
template <class F>
std::string refusal(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "not refused";
  return "";
}

void expect_refused(const RnnSpace& space, const std::string& text, const std::string& want) {
  const std::string got = refusal([&] { space.parse(text); });
  EXPECT_NE(got.find(want), std::string::npos) << '"' << text << "\": " << got;
}

TEST(RnnSpace, TextRoundTrip) {
  for (const bool searched : {false, true}) {
    for (const int nodes : {1, 2, 3, 8, 9, 11, RnnSpace::kMostNodes}) {
      const RnnSpace space(nodes, searched);
      for (uint64_t seed = 1; seed <= 200; ++seed) {
        const Architecture arch = random_architecture(space, seed);
        const std::string text = space.to_string(arch);
        ASSERT_EQ(space.parse(text), arch) << text;
        ASSERT_EQ(space.to_string(space.parse("\t " + text + " \n")), text);
        ASSERT_EQ(text.rfind("enas1: ", 0) == 0, searched) << text;
        ASSERT_NO_THROW(space.decode(arch));
      }
    }
  }
}

// All choices of a small space come out of random draws, and each has its own text.
TEST(RnnSpace, TextsAreDistinct) {
  const RnnSpace space(2, true);
  std::vector<std::string> texts;
  for (uint64_t seed = 1; seed <= 4000; ++seed) {
    texts.push_back(space.to_string(random_architecture(space, seed)));
  }
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  EXPECT_EQ(texts.size(), 128u);
  EXPECT_EQ(space.count(), "128");
}

TEST(RnnSpace, OfficialFormSwapsIdentityAndSigmoid) {
  // Official: f0 sigmoid (3), node 1 identity (2) of 0, node 2 relu (1) of 1, node 3 tanh (0) of 0.
  const RnnSpace searched(3, true);
  const std::string text = "enas1: 3 0 2 1 1 0 0";
  const Architecture arch = searched.parse(text);
  EXPECT_EQ(arch.choices, (std::vector<int32_t>{2, 0, 3, 1, 1, 0, 0}));
  EXPECT_EQ(searched.to_string(arch), text);
  const RnnCell cell = searched.decode(arch);
  EXPECT_EQ(cell.first, Activation::sigmoid);
  EXPECT_EQ(cell.nodes[0].activation, Activation::identity);
  EXPECT_EQ(cell.nodes[1].activation, Activation::relu);
  EXPECT_EQ(cell.nodes[2].activation, Activation::tanh);
  EXPECT_EQ(cell.loose_ends, (std::vector<int>{2, 3}));
  EXPECT_EQ(searched.to_words(arch),
            "0: sigmoid of x and h; 1: identity of node 0; 2: relu of node 1; 3: tanh of node 0; "
            "output: mean of nodes 2, 3");
}

TEST(RnnSpace, OfficialFormInASpaceWithFixedFirst) {
  const RnnSpace space(2);
  const Architecture own = space.parse("0 3 1 2");
  EXPECT_EQ(space.parse("enas1: 0 0 2 1 3"), own);
  EXPECT_EQ(space.parse("enas1:0 0 2 1 3"), own);
  EXPECT_EQ(space.parse("  enas1:  0 0 2  1 3"), own);
  EXPECT_EQ(space.to_string(own), "0 3 1 2");
  expect_refused(space, "enas1: 1 0 2 1 3", "token 1 '1'");
  expect_refused(space, "enas1: 1 0 2 1 3", "--parity node0-searched");
}

TEST(RnnSpace, FirstBadTokenIsNamed) {
  const RnnSpace space(3);
  expect_refused(space, "0 2 1 4 9 9", "token 4 '4' (activation of node 2)");
  expect_refused(space, "1 2 9 9 9 9", "token 1 '1' (previous node of node 1)");
  expect_refused(space, "0 2 2 0 0 0", "token 3 '2' (previous node of node 2)");
  expect_refused(space, "0 2 1 0 2 1.0", "token 6 '1.0' (activation of node 3)");
  for (const char* bad : {"-1", "+1", "1x", "x", "0x1", "1e0", "nan", "1,", "99999999999",
                          "2147483648", "enas1:", "\xff", "1\xcc\x88"}) {
    expect_refused(space, std::string("0 2 ") + bad + " 0 0 0",
                   std::string("token 3 '") + bad + "'");
  }
  // A bad token is named before a wrong number of tokens is.
  expect_refused(space, "0 7", "token 2 '7'");
  expect_refused(space, "0 7 0 0 0 0 0 0 0", "token 2 '7'");
  // The number counts integers, not the prefix.
  const RnnSpace searched(1, true);
  expect_refused(searched, "enas1: 4 0 0", "token 1 '4' (activation of node 0)");
  expect_refused(searched, "enas1: 3 1 0", "token 2 '1' (previous node of node 1)");
  expect_refused(searched, "enas1:enas1: 0 0", "token 1 'enas1:'");
}

TEST(RnnSpace, WrongCountsSayFoundAndExpected) {
  const RnnSpace space(2);
  expect_refused(space, "", "found 0 integers, expected 4");
  expect_refused(space, " \t\n", "found 0 integers, expected 4");
  expect_refused(space, "0 1 0", "found 3 integers, expected 4");
  expect_refused(space, "0 1 0 0 1", "token 5 '1' is too many");
  expect_refused(space, "0 1 0 0 1", "found 5");
  expect_refused(space, "enas1:", "found 0 integers, expected 5");
  expect_refused(space, "enas1: 0 0 1 0", "found 4 integers, expected 5");
  const RnnSpace searched(2, true);
  expect_refused(searched, "enas1: 0 0 1 0", "found 4 integers, expected 5");
  expect_refused(searched, "0 1 0 0", "enas1:");  // the own form has no place for node 0
}

TEST(RnnSpace, NodesOutOfRangeAreRefused) {
  for (const int nodes : {-1, 0, RnnSpace::kMostNodes + 1}) {
    EXPECT_NE(refusal([&] { RnnSpace space(nodes); }).find("1 to 64"), std::string::npos);
  }
}

TEST(RnnSpace, SmallestSpaceOfAText) {
  EXPECT_EQ(rnn_space_of(RnnSpace::published()).nodes(), 8);
  EXPECT_FALSE(rnn_space_of(RnnSpace::published()).searched_first());
  EXPECT_EQ(rnn_space_of(RnnSpace::published_official()).nodes(), 11);
  EXPECT_FALSE(rnn_space_of(RnnSpace::published_official()).searched_first());
  EXPECT_TRUE(rnn_space_of("enas1: 1 0 0").searched_first());
  for (const char* odd : {"", "0", "0 1 0", "enas1:", "enas1: 0", "enas1: 0 0"}) {
    EXPECT_NE(refusal([&] { rnn_space_of(odd); }).find("found"), std::string::npos) << odd;
  }
}

TEST(RnnSpace, PublishedCell) {
  const RnnSpace space(8);
  const RnnCell cell = space.decode(space.parse(RnnSpace::published()));
  EXPECT_EQ(cell.first, Activation::tanh);
  EXPECT_EQ(cell.loose_ends, (std::vector<int>{7, 8}));
  const std::vector<int> previous = {0, 1, 2, 2, 4, 5, 3, 6};
  using enum Activation;
  const std::vector<Activation> activations = {sigmoid, tanh, relu,    sigmoid,
                                               tanh,    tanh, sigmoid, sigmoid};
  ASSERT_EQ(cell.nodes.size(), 8u);
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(cell.nodes[i].previous, previous[i]) << i + 1;
    EXPECT_EQ(cell.nodes[i].activation, activations[i]) << i + 1;
  }
}

TEST(RnnSpace, PublishedOfficialCell) {
  const RnnSpace space(11);
  const Architecture arch = space.parse(RnnSpace::published_official());
  const RnnCell cell = space.decode(arch);
  EXPECT_EQ(cell.first, Activation::tanh);
  EXPECT_EQ(space.to_string(arch), "0 0 1 1 2 1 2 0 2 0 5 1 1 0 6 1 8 1 8 1 8 1");
  EXPECT_EQ(cell.loose_ends, (std::vector<int>{3, 4, 7, 9, 10, 11}));
  const RnnSpace searched(11, true);
  const Architecture with_first = searched.parse(RnnSpace::published_official());
  EXPECT_EQ(searched.to_string(with_first), RnnSpace::published_official());
}

// A node is loose exactly where no other reads it; the last always is.
TEST(RnnSpace, LooseEndsByDefinition) {
  const RnnSpace space(9);
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    const RnnCell cell = space.decode(random_architecture(space, seed));
    std::vector<int> want;
    for (int node = 0; node <= 9; ++node) {
      bool read = false;
      for (const RnnCell::Node& reader : cell.nodes) read = read || reader.previous == node;
      if (!read) want.push_back(node);
    }
    ASSERT_EQ(cell.loose_ends, want);
    ASSERT_EQ(cell.loose_ends.back(), 9);
  }
}

TEST(RnnSpace, DecodeRefusesWhatIsNotOfTheSpace) {
  const RnnSpace space(2), searched(2, true);
  using Choices = std::vector<int32_t>;
  for (const Choices& choices : {Choices{},
                                 {0, 0, 0},
                                 {0, 0, 0, 0, 0},
                                 {1, 0, 0, 0},
                                 {0, 0, 2, 0},
                                 {0, 4, 0, 0},
                                 {-1, 0, 0, 0},
                                 {0, -1, 0, 0}}) {
    refusal([&] { space.decode({choices}); });
  }
  refusal([&] { searched.decode({{4, 0, 0, 0, 0}}); });
  refusal([&] { searched.decode({{-1, 0, 0, 0, 0}}); });
  refusal([&] { searched.decode({{0, 0, 0, 0}}); });
}

uint64_t modulo(const std::string& decimal, uint64_t divisor) {
  uint64_t rest = 0;
  for (const char digit : decimal)
    rest = (rest * 10 + static_cast<uint64_t>(digit - '0')) % divisor;
  return rest;
}

TEST(RnnSpace, CountIsExact) {
  EXPECT_EQ(RnnSpace(1).count(), "4");
  EXPECT_EQ(RnnSpace(2).count(), "32");
  EXPECT_EQ(RnnSpace(8).count(), "2642411520");
  EXPECT_EQ(RnnSpace(9).count(), "95126814720");
  EXPECT_EQ(RnnSpace(11, true).count(), "669692775628800");
  EXPECT_EQ(RnnSpace(11).paper_count(), "8036313307545600");
  EXPECT_EQ(RnnSpace(1).paper_count(), "32");
  // 64! 4^64, 128 digits, modulo two primes.
  const std::string most = RnnSpace(64).count();
  EXPECT_EQ(most.size(), 128u);
  for (const uint64_t prime : {uint64_t{1000000007}, uint64_t{998244353}}) {
    uint64_t want = 1;
    for (uint64_t node = 1; node <= 64; ++node) want = want * node % prime * 4 % prime;
    EXPECT_EQ(modulo(most, prime), want);
  }
}

TEST(RnnSpace, DecisionsOfAWholeCell) {
  const PolicyShape shape{3, 1.5, 0.25};
  for (const bool searched : {false, true}) {
    const DecisionList list = RnnSpace(4, searched).decisions(shape);
    const size_t lead = searched ? 1 : 0;
    ASSERT_EQ(list.steps.size(), lead + 8);
    EXPECT_EQ(list.zero_anchors, 1);
    for (size_t s = 0; s < list.steps.size(); ++s) {
      const Decision& d = list.steps[s];
      const bool index = s >= lead && (s - lead) % 2 == 0;
      EXPECT_EQ(d.kind, index ? Decision::Kind::index : Decision::Kind::op);
      EXPECT_EQ(d.count, index ? static_cast<int>((s - lead) / 2) + 1 : kActivations);
      EXPECT_EQ(d.temperature, 3);
      EXPECT_EQ(d.tanh_constant, 1.5);
      EXPECT_EQ(d.distance_bias, index ? 0.25 : 0);
      EXPECT_EQ(d.leaves_anchor, index);
      const auto input = index ? Decision::From::embedding : Decision::From::anchor;
      EXPECT_EQ(d.input, s == 0 ? Decision::From::start : input);
    }
  }
}

}  // namespace
}  // namespace enas
