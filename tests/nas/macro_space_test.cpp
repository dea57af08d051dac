// The macro space: text form with and without the prefix, what it refuses and how it says so,
// decoded networks, number of architectures, decisions (docs/method.md sections 2.2, 2.4 and 8).
#include "nas/macro/space.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/nas/refusal.h"

namespace enas {
namespace {

using test::expect_refused;
using test::random_architecture;

constexpr MacroSpaceOptions kConcat{.concat_input = true};

TEST(MacroSpace, TextRoundTrip) {
  for (const MacroSpaceOptions& options : {MacroSpaceOptions{}, kConcat}) {
    for (const int layers : {1, 2, 3, 12, 24, MacroSpace::kMostLayers}) {
      const MacroSpace space(layers, options);
      for (uint64_t seed = 1; seed <= 50; ++seed) {
        const Architecture arch = random_architecture(space, seed);
        const std::string text = space.to_string(arch);
        ASSERT_EQ(space.parse(text), arch) << text;
        ASSERT_EQ(space.parse("\t " + text + " \n"), arch) << text;
        ASSERT_EQ(text.rfind("concat: ", 0) == 0, options.concat_input) << text;
        ASSERT_EQ(macro_space_of(text).layers(), layers);
        ASSERT_EQ(macro_space_of(text).concat_input(), options.concat_input);
        ASSERT_EQ(space.decode(arch).layers.size(), static_cast<size_t>(layers));
      }
    }
  }
}

TEST(MacroSpace, EveryArchitectureOfASmallSpaceIsDrawn) {
  const MacroSpace space(2);
  std::set<std::string> texts;
  for (uint64_t seed = 1; seed <= 1500; ++seed)
    texts.insert(space.to_string(random_architecture(space, seed)));
  EXPECT_EQ(texts.size(), 72u);
  EXPECT_EQ(space.count(), "72");
}

TEST(MacroSpace, PublishedNetwork) {
  const MacroSpace space(24);
  const Architecture arch = space.parse(MacroSpace::published());
  EXPECT_EQ(arch.choices.size(), 300u);
  EXPECT_EQ(space.to_string(arch), MacroSpace::published());
  const MacroArch decoded = space.decode(arch);
  std::vector<int> ops(kMacroOps);
  int skips = 0;
  for (size_t i = 0; i < decoded.layers.size(); ++i) {
    const MacroArch::Layer& layer = decoded.layers[i];
    ++ops[static_cast<size_t>(layer.op)];
    EXPECT_EQ(layer.skips.size(), i);
    skips += static_cast<int>(std::count(layer.skips.begin(), layer.skips.end(), true));
  }
  EXPECT_EQ(ops, (std::vector<int>{8, 2, 9, 5, 0, 0}));
  EXPECT_EQ(skips, 98);
}

TEST(MacroSpace, Words) {
  const MacroSpace space(3);
  EXPECT_EQ(space.to_words(space.parse("1 2 1 5 1 1")),
            "1: 3x3 separable convolution; 2: 5x5 convolution, skips from stem; "
            "3: 3x3 max pool, skips from stem, 1");
  const MacroSpace concat(3, kConcat);
  EXPECT_EQ(concat.to_words(concat.parse("concat: 0 3 1 4 0 1")),
            "1: 3x3 convolution; 2: 5x5 separable convolution of 1; 3: 3x3 average pool of 2");
}

TEST(MacroSpace, FirstBadTokenIsNamed) {
  const MacroSpace space(3);
  expect_refused(space, "0 1 0 6 9 9", "token 4 '6' (operation of layer 3)");
  expect_refused(space, "0 1 2 6 9 9", "token 3 '2' (skip from stem of layer 2)");
  expect_refused(space, "0 1 0 0 1 -1", "token 6 '-1' (skip from 1 of layer 3)");
  expect_refused(MacroSpace(3, kConcat), "concat:0 1 0 0 1 x",
                 "token 6 'x' (skip from 2 of layer 3)");
  expect_refused(space, "0 1 0 0 1 1 3", "token 7 '3' is too many");
  expect_refused(space, "0 1 0", "found 3 integers, expected 6");
  expect_refused(space, "", "found 0 integers, expected 6");
}

TEST(MacroSpace, PrefixAndSwitchGoTogether) {
  expect_refused(MacroSpace(2), "concat: 0 1 1", "'concat:'");
  expect_refused(MacroSpace(2), "concat: 0 1 1", "--parity concat-input");
  expect_refused(MacroSpace(2, kConcat), "0 1 1", "prefix 'concat:'");
  expect_refused(MacroSpace(2, kConcat), "concat:concat: 0 1 1", "token 1 'concat:'");
}

TEST(MacroSpace, RefusesWhatIsNotOfTheSpace) {
  for (const int layers : {-1, 0, MacroSpace::kMostLayers + 1}) {
    EXPECT_NE(test::refusal([&] { MacroSpace space(layers); }).find("1 to 64"), std::string::npos);
  }
  const MacroSpace space(2);
  using Choices = std::vector<int32_t>;
  for (const Choices& choices : {Choices{}, {0, 0}, {0, 0, 0, 0}, {6, 0, 0}, {0, -1, 0}, {0, 0, 2}})
    test::refusal([&] { space.decode({choices}); });
  for (const char* odd : {"", "0 1", "0 1 0 1", "concat: 0 1"})
    EXPECT_NE(test::refusal([&] { macro_space_of(odd); }).find("found"), std::string::npos) << odd;
}

// docs/method.md section 2.4: 6^12 2^66 = 1.6e29.
TEST(MacroSpace, CountIsExact) {
  EXPECT_EQ(MacroSpace(1).count(), "6");
  EXPECT_EQ(MacroSpace(12).count(), "160618186625454535808756219904");
  EXPECT_EQ(MacroSpace(12).paper_count(), MacroSpace(12).count());
}

// Candidates are keyed by their own layers: the stem's zero anchor is the first, unless the switch
// shifts them by one or there is no stem among them.
TEST(MacroSpace, Decisions) {
  using Kind = Decision::Kind;
  using From = Decision::From;
  for (const MacroSpaceOptions& options :
       {MacroSpaceOptions{}, kConcat, MacroSpaceOptions{.anchor_shift = true}}) {
    const DecisionList list = MacroSpace(4, options).decisions({2, 1.5, 0, 1, 0, 0});
    EXPECT_EQ(list.zero_anchors, options.concat_input || options.anchor_shift ? 0 : 1);
    EXPECT_TRUE(list.op_matrix);
    EXPECT_TRUE(list.start_bias.empty());
    ASSERT_EQ(list.steps.size(), 8u);
    for (int layer = 0; layer < 4; ++layer) {
      const Decision& op = list.steps[2 * static_cast<size_t>(layer)];
      EXPECT_EQ(op.kind, Kind::op);
      EXPECT_EQ(op.count, 6);
      EXPECT_EQ(op.input, layer < 2 ? From::start : From::skips);
      EXPECT_FALSE(op.leaves_anchor);
      const Decision& skips = list.steps[2 * static_cast<size_t>(layer) + 1];
      EXPECT_EQ(skips.kind, layer == 0 ? Kind::advance : Kind::skips);
      EXPECT_EQ(skips.count, layer);
      EXPECT_EQ(skips.input, From::embedding);
      EXPECT_EQ(skips.first_anchor, 0);
      EXPECT_TRUE(skips.leaves_anchor);
      EXPECT_EQ(skips.tanh_constant, 1.5);
      EXPECT_EQ(skips.temperature, 2);
    }
  }
  EXPECT_EQ(choice_counts(MacroSpace(3).decisions({})), (std::vector<int32_t>{6, 6, 2, 6, 2, 2}));
}

}  // namespace
}  // namespace enas
