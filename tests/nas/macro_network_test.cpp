// The networks of the macro space against plain loops over doubles, their gradients against
// differences, their numbers of parameters against docs/method.md section 8.
#include "nas/macro/cost.h"
#include "tests/nas/image_networks.h"
#include "tests/nas/naive_networks.h"

namespace enas::test {
namespace {

MacroChildOptions child_options(int64_t filters = 3) {
  MacroChildOptions options;
  options.filters = filters;
  options.classes = 4;
  return options;
}
MacroFinalOptions final_options(int64_t filters = 3) {
  MacroFinalOptions options;
  options.filters = filters;
  options.classes = 4;
  return options;
}

// Odd sizes too: each reduction rounds up.
TEST(MacroNetwork, SearchChildEqualsPlainLoops) {
  for (const bool concat : {false, true}) {
    const MacroSpace space(7, {.concat_input = concat});
    MacroChild child(space, child_options(), 1, DType::f64);
    roughen(child.parameters());
    for (const auto& [height, width] : {std::pair{8, 8}, std::pair{7, 5}}) {
      const Tensor images = random_images(2, height, width);
      for (const Architecture& arch : some_architectures(space, 12)) {
        Tape tape;
        const Logits got = child.forward(tape, arch, images, {});
        const NaiveMacro naive{child.parameters(), concat};
        expect_near(got.logits.value(), naive.logits(space.decode(arch), images), 1e-9,
                    space.to_string(arch));
        EXPECT_FALSE(got.auxiliary.value().defined());
      }
    }
  }
}

TEST(MacroNetwork, FinalNetworkEqualsPlainLoops) {
  for (const bool concat : {false, true}) {
    const MacroSpace space(7, {.concat_input = concat});
    for (const Architecture& arch : some_architectures(space, 8)) {
      MacroFinal net(space, arch, final_options(), 1, DType::f64);
      roughen(net.parameters());
      for (const bool running : {false, true}) {
        const Tensor images = random_images(2, 7, 6);
        Tape tape;
        PassMode mode;
        mode.running = running;
        const NaiveMacro naive{net.parameters(), concat, true, false, running};
        expect_near(net.forward(tape, arch, images, mode).logits.value(),
                    naive.logits(space.decode(arch), images), 1e-9, space.to_string(arch));
      }
    }
  }
}

TEST(MacroNetwork, FinalFullConvolutions) {
  const MacroSpace space(3);
  const Architecture arch = space.parse("1 3 1 1 0 1");
  MacroFinalOptions options = final_options();
  const int64_t separable = MacroFinal(space, arch, options, 1, DType::f64).parameters().count();
  options.full_conv = true;
  MacroFinal net(space, arch, options, 1, DType::f64);
  EXPECT_GT(net.parameters().count(), separable);
  const Tensor images = random_images(2, 6, 6);
  Tape tape;
  const NaiveMacro naive{net.parameters(), false, true, true};
  expect_near(net.forward(tape, arch, images, {}).logits.value(),
              naive.logits(space.decode(arch), images), 1e-9, "full");
  for (const char* pool : {"1 4 1 1 0 1", "5 3 1 1 0 1"})
    EXPECT_THROW(MacroFinal(space, space.parse(pool), options, 1), Error) << pool;
}

// Without a chosen source a layer reads its predecessor, and a layer nobody reads is not made.
TEST(MacroNetwork, ConcatInputReachesWhatIsChosen) {
  const MacroSpace space(4, {.concat_input = true});
  MacroChild child(space, child_options(), 1, DType::f64);
  const Tensor images = random_images(2, 6, 6);
  const auto bytes = [&](const char* text) {
    Tape tape;
    return bytes_of(child.forward(tape, space.parse(text), images, {}).logits.value());
  };
  EXPECT_EQ(bytes("concat: 0 1 0 2 0 0 3 0 0 0"), bytes("concat: 0 1 1 2 0 1 3 0 0 1"));
  EXPECT_NE(bytes("concat: 0 1 0 2 0 0 3 0 0 0"), bytes("concat: 0 1 1 2 1 1 3 0 0 1"));
  // The last layer reads layer 1 alone: the operations of layers 2 and 3 do not matter.
  EXPECT_EQ(bytes("concat: 0 1 0 2 0 0 3 1 0 0"), bytes("concat: 0 5 1 4 1 1 3 1 0 0"));
  const Architecture arch = space.parse("concat: 0 1 0 2 0 0 3 1 0 0");
  Tape tape;
  MacroFinal net(space, arch, final_options(), 1, DType::f64);
  EXPECT_EQ(net.parameters().find("layer.1.sep3.first.weight"), nullptr);
  net.forward(tape, arch, images, {});
  EXPECT_EQ(tape.parameters().size(), net.parameters().size());
}

// docs/method.md section 8.
TEST(MacroNetwork, ParameterCounts) {
  const auto shared = [](bool concat) {
    const MacroSpace space(12, {.concat_input = concat});
    return MacroChild(space, {}, 1).parameters().count();
  };
  EXPECT_EQ(shared(false), 697'860);
  EXPECT_EQ(shared(true), 782'028);
  const MacroSpace space = macro_space_of(MacroSpace::published());
  const Architecture arch = space.parse(MacroSpace::published());
  const auto final = [&](bool full) {
    MacroFinalOptions options;
    options.full_conv = full;
    return MacroFinal(space, arch, options, 1).parameters().count();
  };
  EXPECT_EQ(final(false), 30'947'424);
  EXPECT_EQ(final(true), 42'559'392);
}

// What the networks do is what the architecture's cost says; the plain loops count as they go.
TEST(MacroNetwork, MultiplyAddsAreThoseOfTheArchitecture) {
  const Tensor images = random_images(1, 9, 9);
  for (const bool concat : {false, true}) {
    const MacroSpace space(7, {.concat_input = concat});
    for (const Architecture& arch : some_architectures(space, 8)) {
      const MacroArch decoded = space.decode(arch);
      MacroChild child(space, child_options(), 1, DType::f64, &arch);
      int64_t macs = 0;
      NaiveMacro{child.parameters(), concat, false, false, false, &macs}.logits(decoded, images);
      EXPECT_EQ(macs, macro_child_cost(space, arch, child_options(), 9).macs);
      MacroFinal net(space, arch, final_options(), 1, DType::f64);
      macs = 0;
      NaiveMacro{net.parameters(), concat, true, false, false, &macs}.logits(decoded, images);
      EXPECT_EQ(macs, macro_final_cost(space, arch, final_options(), 9).macs);
    }
  }
}

TEST(MacroNetwork, GradientsOfWholeNetworks) {
  const Tensor images = random_images(2, 5, 4);
  const Tensor labels = Tensor::from_indices({1, 3}, {2});
  Checked all;
  const auto check_net = [&](auto& net, const Architecture& arch) {
    roughen(net.parameters());
    Tape tape, scratch;
    const Tape::NoGrad no_grad(scratch);
    const auto loss = [&](Tape& on) {
      return softmax_cross_entropy(net.forward(on, arch, images, {}).logits, labels);
    };
    tape.backward(loss(tape));
    const Checked checked = check_gradients(tape, 7, net.space().to_string(arch),
                                            [&] { return loss(scratch).value().item(); });
    all.elements += checked.elements, all.kinks += checked.kinks;
  };
  for (const bool concat : {false, true}) {
    const MacroSpace space(3, {.concat_input = concat});
    for (const Architecture& arch : some_architectures(space, 5, 3)) {
      MacroChild child(space, child_options(), 1, DType::f64, &arch);
      check_net(child, arch);
      MacroFinal net(space, arch, final_options(), 1, DType::f64);
      check_net(net, arch);
    }
  }
  EXPECT_GT(all.elements, 1000u);
  EXPECT_LE(all.kinks * 20, all.elements) << "kinks hide too much";
}

// Whatever the size of the images, the number of filters and of layers: also fewer than three,
// where nothing is reduced.
TEST(MacroNetwork, AnyDepthWidthAndSizeRuns) {
  for (const auto& [layers, filters, size] :
       {std::tuple{1, 2, 5}, {2, 5, 1}, {3, 10, 33}, {13, 7, 30}}) {
    const MacroSpace space(layers);
    const Architecture arch = some_architectures(space, 1)[0];
    const Tensor images = random_images(2, size, size, DType::f32);
    Tape tape;
    MacroChild child(space, child_options(filters), 1);
    tape.backward(child.forward(tape, arch, images, {}).logits);
    tape.clear();
    MacroFinal net(space, arch, final_options(filters), 1);
    tape.backward(net.forward(tape, arch, images, {}).logits);
    for (const Parameter* p : tape.parameters())
      for (int64_t i = 0; i < p->grad.numel(); ++i) ASSERT_TRUE(std::isfinite(p->grad.item(i)));
  }
  EXPECT_THROW(MacroChild(MacroSpace(3), child_options(1), 1), Error);
  EXPECT_THROW(MacroFinal(MacroSpace(1), MacroSpace(1).parse("0"), final_options(1), 1), Error);
}

TEST(MacroNetwork, RefusesOtherArchitectures) {
  const MacroSpace space(3);
  const Architecture arch = space.parse("0 1 0 2 1 0"), other = space.parse("0 1 0 2 1 1");
  MacroFinal net(space, arch, final_options(), 1);
  MacroChild alone(space, child_options(), 1, DType::f32, &arch);
  const Tensor images = random_images(2, 4, 4, DType::f32);
  Tape tape;
  EXPECT_THROW(net.forward(tape, other, images, {}), Error);
  EXPECT_THROW(alone.forward(tape, space.parse("0 1 0 3 1 0"), images, {}), Error);
  PassMode running;
  running.running = true;
  EXPECT_THROW(alone.forward(tape, arch, images, running), Error);  // keeps none
}

}  // namespace
}  // namespace enas::test
