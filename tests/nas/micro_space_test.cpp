// The micro space: text form (whose order is not that of the decisions), what it refuses and how it
// says so, decoded cells, number of architectures, decisions (docs/method.md sections 3 and 8).
#include "nas/micro/space.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/nas/refusal.h"

namespace enas {
namespace {

using test::expect_refused;
using test::random_architecture;

TEST(MicroSpace, TextRoundTrip) {
  for (const int nodes : {1, 2, 5, MicroSpace::kMostNodes}) {
    const MicroSpace space(nodes);
    for (uint64_t seed = 1; seed <= 50; ++seed) {
      const Architecture arch = random_architecture(space, seed);
      const std::string text = space.to_string(arch);
      ASSERT_EQ(space.parse(text), arch) << text;
      ASSERT_EQ(space.parse("\t " + text + " \n"), arch) << text;
      ASSERT_EQ(micro_space_of(text).nodes(), nodes);
      ASSERT_NO_THROW(space.decode(arch));
    }
  }
}

// The policy decides in1 in2 op1 op2; a text stores in1 op1 in2 op2.
TEST(MicroSpace, TextStoresInputsBesideTheirOperations) {
  const MicroSpace space(1);
  const Architecture arch{{0, 1, 2, 4, 1, 0, 3, 1}};
  EXPECT_EQ(space.to_string(arch), "0 2 1 4 1 3 0 1");
  const MicroArch decoded = space.decode(arch);
  const auto expect_node = [](const MicroCell& cell, int in1, int op1, int in2, int op2) {
    ASSERT_EQ(cell.nodes.size(), 1u);
    EXPECT_EQ(cell.nodes[0].in1, in1);
    EXPECT_EQ(static_cast<int>(cell.nodes[0].op1), op1);
    EXPECT_EQ(cell.nodes[0].in2, in2);
    EXPECT_EQ(static_cast<int>(cell.nodes[0].op2), op2);
  };
  expect_node(decoded.normal, 0, 2, 1, 4);
  expect_node(decoded.reduction, 1, 3, 0, 1);
  EXPECT_EQ(space.to_words(arch),
            "normal cell: 2: 3x3 average pool of 0 + identity of 1; output: 2; reduction cell: 2: "
            "3x3 max pool of 1 + 5x5 separable convolution of 0; output: 2");
}

// docs/method.md section 8: loose ends {2,3,4,5,6} and {2,4,5,6}.
TEST(MicroSpace, PublishedCells) {
  const MicroSpace space;
  const Architecture arch = space.parse(MicroSpace::published());
  EXPECT_EQ(space.to_string(arch), MicroSpace::published());
  const MicroArch decoded = space.decode(arch);
  EXPECT_EQ(decoded.normal.loose_ends, (std::vector<int>{2, 3, 4, 5, 6}));
  EXPECT_EQ(decoded.reduction.loose_ends, (std::vector<int>{2, 4, 5, 6}));
  EXPECT_EQ(decoded.reduction.nodes[2].in2, 3);
  EXPECT_EQ(decoded.reduction.nodes[2].op2, MicroOp::sep5);
}

// Inputs that no node reads are loose ends too.
TEST(MicroSpace, LooseEndsByDefinition) {
  const MicroSpace space;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const MicroArch decoded = space.decode(random_architecture(space, seed));
    for (const MicroCell* cell : {&decoded.normal, &decoded.reduction}) {
      std::set<int> loose = {0, 1, 2, 3, 4, 5, 6};
      for (const MicroCell::Node& node : cell->nodes) {
        loose.erase(node.in1);
        loose.erase(node.in2);
      }
      ASSERT_EQ(cell->loose_ends, std::vector<int>(loose.begin(), loose.end()));
    }
  }
}

TEST(MicroSpace, FirstBadTokenIsNamed) {
  const MicroSpace space(2);
  const std::string good = "0 2 0 0 2 4 0 1 ";
  expect_refused(space, "2 2 0 0", "token 1 '2' (first input of node 2 of the normal cell)");
  expect_refused(space, "0 5 0 0", "token 2 '5' (first operation of node 2 of the normal cell)");
  expect_refused(space, good + "0 0 3 0", "token 11 '3' (second input of node 2 of the reduction");
  expect_refused(space, good + "0 0 1 0 0 0 2 x", "token 16 'x' (second operation of node 3");
  expect_refused(space, good + good + "7", "token 17 '7' is too many");
  expect_refused(space, good, "found 8 integers, expected 16");
  expect_refused(space, "", "found 0 integers, expected 16");
}

TEST(MicroSpace, RefusesWhatIsNotOfTheSpace) {
  for (const int nodes : {-1, 0, MicroSpace::kMostNodes + 1}) {
    EXPECT_NE(test::refusal([&] { MicroSpace space(nodes); }).find("1 to 32"), std::string::npos);
  }
  const MicroSpace space(1);
  for (size_t at = 0; at < 8; ++at) {
    for (const int32_t bad : {-1, 5}) {
      Architecture arch{{0, 1, 2, 4, 1, 0, 3, 1}};
      arch.choices[at] = bad;
      test::refusal([&] { space.decode(arch); });
    }
  }
  test::refusal([&] { space.decode({{0, 1, 2, 4}}); });
  for (const char* odd : {"", "0", "0 0 0 0", "0 0 0 0 0 0 0 0 0"})
    EXPECT_NE(test::refusal([&] { micro_space_of(odd); }).find("found"), std::string::npos) << odd;
}

// docs/method.md section 3.4: (5 (B - 2)!)^4 = 1.3e11, ordered count 2.6e25.
TEST(MicroSpace, Counts) {
  EXPECT_EQ(MicroSpace(1).count(), "10000");
  EXPECT_EQ(MicroSpace(1).paper_count(), "625");
  EXPECT_EQ(MicroSpace().count(), "25628906250000000000000000");
  EXPECT_EQ(MicroSpace().paper_count(), "129600000000");
}

TEST(MicroSpace, Decisions) {
  using Kind = Decision::Kind;
  using From = Decision::From;
  const DecisionList list = MicroSpace(2).decisions({2, 1.1, 0, 2.5, 0.25, 10});
  EXPECT_EQ(list.zero_anchors, 0);
  EXPECT_EQ(list.start_bias, (std::vector<double>{10, 10, 0, 0, 0}));
  ASSERT_EQ(list.steps.size(), 24u);
  const std::vector<Kind> kinds = {Kind::index, Kind::index, Kind::op, Kind::op, Kind::advance};
  const std::vector<From> inputs = {From::start, From::bare_anchor, From::bare_anchor,
                                    From::embedding, From::embedding};
  for (size_t s = 0; s < list.steps.size(); ++s) {
    const Decision& d = list.steps[s];
    const size_t in_cell = s % 12;
    const bool input = in_cell < 2;
    const size_t part = (in_cell + 3) % 5;
    EXPECT_EQ(d.kind, input ? Kind::advance : kinds[part]) << s;
    EXPECT_EQ(d.input, input ? From::start : inputs[part]) << s;
    EXPECT_EQ(d.leaves_anchor, input || part == 4) << s;
    EXPECT_EQ(d.zero_anchor, input) << s;
    if (d.kind == Kind::index) {
      EXPECT_EQ(d.count, in_cell < 7 ? 2 : 3) << s;
      EXPECT_EQ(d.first_anchor, s < 12 ? 0 : 4) << s;
      EXPECT_EQ(d.tanh_constant, 1.1);
    }
    if (d.kind != Kind::op) continue;
    EXPECT_EQ(d.count, 5);
    EXPECT_DOUBLE_EQ(d.tanh_constant, 0.44);
    EXPECT_EQ(d.favoured, 2);
    EXPECT_EQ(d.op_bias, s < 12 ? 0.25 : 0);
  }
}

}  // namespace
}  // namespace enas
