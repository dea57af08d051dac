// The networks of the micro space against plain loops over doubles, the paper's example cell by
// hand, gradients against differences, numbers of parameters against docs/method.md section 8.
#include "nas/micro/cost.h"
#include "tests/nas/image_networks.h"
#include "tests/nas/naive_networks.h"

namespace enas::test {
namespace {

MicroChildOptions child_options(int cells = 1, int64_t filters = 2) {
  MicroChildOptions options;
  options.normal_cells = cells;
  options.filters = filters;
  options.classes = 4;
  return options;
}
MicroFinalOptions final_options(int cells = 1, int64_t filters = 2) {
  MicroFinalOptions options;
  options.normal_cells = cells;
  options.filters = filters;
  options.classes = 4;
  options.auxiliary = false;
  return options;
}
std::vector<double> all_of(const Logits& logits) {
  std::vector<double> list = logits.logits.value().to_vector();
  if (!logits.auxiliary.value().defined()) return list;
  const std::vector<double> more = logits.auxiliary.value().to_vector();
  list.insert(list.end(), more.begin(), more.end());
  return list;
}
void expect_equal(const Logits& got, const std::vector<double>& want, const std::string& what) {
  const std::vector<double> list = all_of(got);
  expect_near(Tensor::from(list, {static_cast<int64_t>(list.size())}, DType::f64), want, 1e-9,
              what);
}

// N = 1: both reductions come first; N = 3: a normal cell before, between and behind them.
TEST(MicroNetwork, SearchChildEqualsPlainLoops) {
  for (const bool stride2 : {false, true}) {
    for (const int cells : {0, 1, 3}) {
      const MicroSpace space(3);
      MicroChildOptions options = child_options(cells);
      options.reduce_stride2 = stride2;
      options.tf_same = stride2 && cells == 3;
      MicroChild child(space, options, 1, DType::f64);
      roughen(child.parameters());
      for (const auto& [height, width] : {std::pair{8, 8}, std::pair{7, 5}}) {
        const Tensor images = random_images(2, height, width);
        for (const Architecture& arch : some_architectures(space, 5)) {
          Tape tape;
          const NaiveMicro naive{child.parameters(), cells, false, stride2, options.tf_same};
          expect_equal(child.forward(tape, arch, images, {}),
                       naive.logits(space.decode(arch), images), space.to_string(arch));
        }
      }
    }
  }
}

TEST(MicroNetwork, FinalNetworkEqualsPlainLoops) {
  const MicroSpace space(3);
  for (const int cells : {0, 1, 3}) {
    for (const Architecture& arch : some_architectures(space, 6)) {
      MicroFinalOptions options = final_options(cells);
      options.tf_same = cells == 1;
      MicroFinal net(space, arch, options, 1, DType::f64);
      roughen(net.parameters());
      for (const bool running : {false, true}) {
        const Tensor images = random_images(2, 7, 6);
        PassMode mode;
        mode.running = running;
        Tape tape;
        const NaiveMicro naive{net.parameters(), cells, true, false, options.tf_same, running};
        expect_equal(net.forward(tape, arch, images, mode),
                     naive.logits(space.decode(arch), images), space.to_string(arch));
      }
    }
  }
}

TEST(MicroNetwork, AuxiliaryHeads) {
  const MicroSpace space(2);
  const Tensor images = random_images(2, 18, 18);  // 18, 9, 5
  PassMode mode;
  mode.auxiliary = true;
  for (const Architecture& arch : some_architectures(space, 3)) {
    MicroFinalOptions options = final_options();
    options.auxiliary = true;
    options.image_size = 18;
    MicroFinal net(space, arch, options, 1, DType::f64);
    roughen(net.parameters());
    Tape tape;
    expect_equal(net.forward(tape, arch, images, mode),
                 NaiveMicro{net.parameters(), 1, true}.logits(space.decode(arch), images, true),
                 "final");
    EXPECT_EQ(all_of(net.forward(tape, arch, images, {})).size(), 8u);  // not asked for
    MicroChildOptions search = child_options();
    search.auxiliary = true;
    search.image_size = 18;
    MicroChild child(space, search, 1, DType::f64);
    roughen(child.parameters());
    expect_equal(child.forward(tape, arch, images, mode),
                 NaiveMicro{child.parameters(), 1}.logits(space.decode(arch), images, true),
                 "search");
    options.image_size = 16;  // 16, 8, 4
    EXPECT_THROW(MicroFinal(space, arch, options, 1), Error);
    options.image_size = 18, options.normal_cells = 0;
    EXPECT_THROW(MicroFinal(space, arch, options, 1), Error);
  }
}

// The paper's example with B = 4: h3 = sep5(h2) +
// id(h2), h4 = avg(h3) + sep3(h1), and h4 alone is the output; both as reduction cell, where h1 and
// h2 are read at stride 2, and as normal cell behind it.
TEST(MicroNetwork, ThePapersExampleCellByHand) {
  const MicroSpace space(2);
  const Architecture arch = space.parse("1 1 1 4 2 2 0 0 1 1 1 4 2 2 0 0");
  ASSERT_EQ(space.decode(arch).normal.loose_ends, std::vector<int>{3});
  MicroFinal net(space, arch, final_options(), 1, DType::f64);
  roughen(net.parameters());
  const Tensor images = random_images(2, 8, 8);
  const Naive by(net.parameters());
  const auto relu = [](const Map& x) { return Naive::relu(x); };
  const auto sep = [&](const Map& x, const std::string& name, int64_t kernel, int64_t stride) {
    return by.separable(by.separable(x, name + ".0", {kernel, stride}), name + ".1", {kernel});
  };
  const auto base = [&](const Map& x, const std::string& layer) {
    return by.pointwise({relu(x)}, layer + ".base");
  };
  const auto cell = [&](const Map& h1, const Map& h2, const std::string& layer, bool reduction) {
    const int64_t stride = reduction ? 2 : 1;
    const std::string h3_name = layer + ".node.2", h4_name = layer + ".node.3";
    const Map identity = reduction ? by.reduction({h2}, h3_name + ".y") : h2;
    const Map h3 = Naive::add(sep(h2, h3_name + ".x", 5, stride), identity);
    return Naive::add(Naive::average(h3, {3}), sep(h1, h4_name + ".y", 3, stride));
  };
  // Stem of 6 channels; reduction to 4 channels, both inputs through a 1x1.
  const Map stem = by.norm(by.conv(Map(images), "stem.weight", {3}), "stem.norm");
  const Map first =
      cell(by.pointwise({relu(stem)}, "layer.0.input.0"),
           base(by.pointwise({relu(stem)}, "layer.0.input.1"), "layer.0"), "layer.0", true);
  ASSERT_EQ(first.h, 4);
  // Reduction to 8 channels: the stem is twice as large as the first cell's output.
  const Map second =
      cell(by.reduction({relu(stem)}, "layer.1.input.0"),
           base(by.pointwise({relu(first)}, "layer.1.input.1"), "layer.1"), "layer.1", true);
  ASSERT_EQ(second.h, 2);
  // The normal cell: its second input fits, and passes the 1x1 all the same.
  const Map third = cell(by.reduction({relu(first)}, "layer.2.input.0"), base(second, "layer.2"),
                         "layer.2", false);
  ASSERT_EQ(third.c, 8);
  Tape tape;
  expect_near(net.forward(tape, arch, images, {}).logits.value(), by.head(relu(third), "head"),
              1e-10, "example");
  EXPECT_EQ(net.parameters().find("layer.2.input.1.weight"), nullptr);
}

// At stride 2 the border lies elsewhere where the side is even; an odd one is the same.
TEST(MicroNetwork, TfSameMovesTheBorderOfEvenSides) {
  const MicroSpace space(1);
  const Architecture arch = space.parse("0 0 1 1 0 2 1 0");
  const auto logits = [&](bool final, bool tf_same, int64_t side) {
    const Tensor images = random_images(2, side, side);
    MicroFinalOptions options = final_options();
    MicroChildOptions search = child_options();
    options.tf_same = search.tf_same = tf_same;
    search.reduce_stride2 = true;
    MicroFinal net(space, arch, options, 1, DType::f64);
    MicroChild child(space, search, 1, DType::f64);
    Tape tape;
    return bytes_of(
        (final ? net.forward(tape, arch, images, {}) : child.forward(tape, arch, images, {}))
            .logits.value());
  };
  for (const bool final : {false, true}) {
    EXPECT_NE(logits(final, true, 8), logits(final, false, 8));
    EXPECT_EQ(logits(final, true, 9), logits(final, false, 9));  // 9, 5, 3
  }
}

// docs/method.md section 8.
TEST(MicroNetwork, ParameterCounts) {
  MicroChildOptions options;
  const auto shared = [&] { return MicroChild(MicroSpace(5), options, 1).parameters().count(); };
  EXPECT_EQ(shared(), 5'373'140);
  options.reduce_stride2 = true;
  EXPECT_EQ(shared(), 5'558'660);
  const MicroSpace space(5);
  MicroFinalOptions final;
  const Architecture arch = space.parse(MicroSpace::published());
  EXPECT_EQ(MicroFinal(space, arch, final, 1).parameters().count(), 3'894'372 + 494'848);
  final.auxiliary = false;
  EXPECT_EQ(MicroFinal(space, arch, final, 1).parameters().count(), 3'894'372);
}

// What the networks do is what the architecture's cost says; the plain loops count as they go.
TEST(MicroNetwork, MultiplyAddsAreThoseOfTheArchitecture) {
  const Tensor images = random_images(1, 9, 9);
  const MicroSpace space(3);
  for (const int cells : {1, 4}) {
    for (const Architecture& arch : some_architectures(space, 6)) {
      const MicroArch decoded = space.decode(arch);
      int64_t macs = 0;
      for (const bool stride2 : {false, true}) {
        MicroChildOptions options = child_options(cells);
        options.reduce_stride2 = stride2, options.image_size = 9;
        MicroChild child(space, options, 1, DType::f64, &arch);
        macs = 0;
        NaiveMicro{child.parameters(), cells, false, stride2, false, false, &macs}.logits(decoded,
                                                                                          images);
        EXPECT_EQ(macs, micro_child_cost(space, arch, options).macs);
      }
      MicroFinalOptions options = final_options(cells);
      options.image_size = 9;
      MicroFinal net(space, arch, options, 1, DType::f64);
      macs = 0;
      NaiveMicro{net.parameters(), cells, true, false, false, false, &macs}.logits(decoded, images);
      EXPECT_EQ(macs, micro_final_cost(space, arch, options).macs);
    }
  }
}

TEST(MicroNetwork, GradientsOfWholeNetworks) {
  const Tensor images = random_images(2, 5, 4);
  const Tensor labels = Tensor::from_indices({1, 3}, {2});
  Checked all;
  const auto check_net = [&](auto& net, const Architecture& arch, const PassMode& mode) {
    roughen(net.parameters());
    Tape tape, scratch;
    const Tape::NoGrad no_grad(scratch);
    const auto loss = [&](Tape& on) {
      return softmax_cross_entropy(net.forward(on, arch, images, mode).logits, labels);
    };
    tape.backward(loss(tape));
    const Checked checked = check_gradients(tape, 11, net.space().to_string(arch),
                                            [&] { return loss(scratch).value().item(); });
    all.elements += checked.elements, all.kinks += checked.kinks;
  };
  const MicroSpace space(3);
  for (const Architecture& arch : some_architectures(space, 4, 3)) {
    for (const bool stride2 : {false, true}) {
      MicroChildOptions options = child_options();
      options.reduce_stride2 = stride2;
      MicroChild child(space, options, 1, DType::f64, &arch);
      check_net(child, arch, {});
    }
    MicroFinal net(space, arch, final_options(), 1, DType::f64);
    PassMode drop;  // whole examples dropped
    drop.progress = 1;
    check_net(net, arch, {});
    check_net(net, arch, drop);
  }
  EXPECT_GT(all.elements, 1000u);
  EXPECT_LE(all.kinks * 20, all.elements) << "kinks hide too much";
}

// keep(layer, step) = 1 - min(1, (step + 1) / T) (layer + 1) / (N + 2) (1 - 0.6).
TEST(MicroNetwork, DropPathSchedule) {
  const MicroSpace space(5);
  const Architecture arch = space.parse(MicroSpace::published());
  MicroFinalOptions options = final_options(15, 2);
  MicroFinal net(space, arch, options, 1);
  EXPECT_DOUBLE_EQ(net.drop_path_keep(16, 1), 0.6);
  EXPECT_NEAR(net.drop_path_keep(0, 1), 0.9765, 5e-5);
  EXPECT_DOUBLE_EQ(net.drop_path_keep(16, 0.5), 0.8);
  EXPECT_DOUBLE_EQ(net.drop_path_keep(7, 0), 1);
}

// An architecture of identities alone has no path to drop; a pool has, by whole examples.
TEST(MicroNetwork, DropPathTakesOperationsButNotIdentities) {
  const MicroSpace space(1);
  const Tensor images = random_images(64, 4, 4);
  const auto logits = [&](const char* text, double progress, uint64_t draw) {
    const Architecture arch = space.parse(text);
    MicroFinal net(space, arch, final_options(), 1, DType::f64);
    PassMode mode;
    mode.progress = progress, mode.draw = draw;
    Tape tape;
    return bytes_of(net.forward(tape, arch, images, mode).logits.value());
  };
  const char* identities = "0 4 1 4 0 4 1 4";
  EXPECT_EQ(logits(identities, 0, 0), logits(identities, 1, 0));
  for (const char* operation : {"0 2 1 4 0 4 1 4", "0 4 1 0 0 4 1 4", "0 4 1 4 0 3 1 4"}) {
    EXPECT_NE(logits(operation, 0, 0), logits(operation, 1, 0));
    EXPECT_EQ(logits(operation, 1, 0), logits(operation, 1, 0));
    EXPECT_NE(logits(operation, 1, 1), logits(operation, 1, 0));
    EXPECT_EQ(logits(operation, 0, 1), logits(operation, 0, 0));
  }
}

TEST(MicroNetwork, AnyDepthWidthAndSizeRuns) {
  for (const auto& [cells, filters, size] :
       {std::tuple{0, 2, 5}, {1, 5, 1}, {6, 10, 33}, {2, 3, 30}}) {
    const MicroSpace space(4);
    const Architecture arch = some_architectures(space, 1)[0];
    const Tensor images = random_images(2, size, size, DType::f32);
    for (const bool stride2 : {false, true}) {
      MicroChildOptions options = child_options(cells, filters);
      options.reduce_stride2 = stride2;
      MicroChild child(space, options, 1);
      Tape tape;
      tape.backward(child.forward(tape, arch, images, {}).logits);
    }
    MicroFinal net(space, arch, final_options(cells, filters), 1);
    Tape tape;
    tape.backward(net.forward(tape, arch, images, {}).logits);
    for (const Parameter* p : tape.parameters())
      for (int64_t i = 0; i < p->grad.numel(); ++i) ASSERT_TRUE(std::isfinite(p->grad.item(i)));
  }
  EXPECT_THROW(MicroChild(MicroSpace(2), child_options(1, 1), 1), Error);
}

// Two loose ends of C channels are as wide as the 2C that the reduction cell wants: it takes their
// concatenation as it is.
TEST(MicroNetwork, AnInputThatHappensToFitIsNotCalibrated) {
  const MicroSpace space(2);
  const Architecture arch = space.parse("0 4 1 2 1 3 0 4 0 2 1 0 2 3 0 4");
  ASSERT_EQ(space.decode(arch).normal.loose_ends.size(), 2u);
  MicroFinal net(space, arch, final_options(6), 1, DType::f64);
  ASSERT_EQ(net.parameters().find("layer.5.input.0.weight.0"), nullptr);
  ASSERT_EQ(net.parameters().find("layer.5.input.1.weight.0"), nullptr);
  roughen(net.parameters());
  const Tensor images = random_images(2, 8, 8);
  Tape tape;
  expect_equal(net.forward(tape, arch, images, {}),
               NaiveMicro{net.parameters(), 6, true}.logits(space.decode(arch), images), "joined");
}

}  // namespace
}  // namespace enas::test
