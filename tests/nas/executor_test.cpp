// The executor of a child is the tape (docs/architecture.md): what its loop does not reach is
// not recorded, has no gradient and keeps its bits; what it reaches has the right gradient, in a
// shared child as in one built alone.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "tests/nas/small_task.h"

namespace enas::test {
namespace {

// Ops of a training window of T steps, use() of a weight not counted: embedding; T times (a row
// slice, one op for node 0 and each of N nodes, the mean where it has several values); concat; the
// decoder's mask, product and loss; the regularisers, each with its scale and its add.
size_t expected_ops(const RnnCell& cell, const RnnChildOptions& options, size_t steps) {
  const size_t nodes = cell.nodes.size();
  const size_t averaged = options.mean_all ? nodes : cell.loose_ends.size();
  size_t ops = 1 + steps * (1 + nodes + 1 + (averaged > 1 ? 1 : 0)) + 1;
  ops += (options.dropout.output > 0 ? 1 : 0) + 2;
  if (options.activation_penalty > 0) ops += 3;
  if (options.slowness_penalty > 0 && steps > 1) ops += 2 + 3;  // two row slices
  // Two squares and a sum for each of N matrices (node 0 and nodes 2..N), their adds.
  if (options.l4_decay > 0) ops += 3 * nodes + (nodes - 1) + 2;
  return ops;
}

TEST(Executor, RecordedOpsAreThoseOfTheArchitecture) {
  RnnChildOptions mean_all = full_options();
  mean_all.mean_all = true;
  for (const RnnChildOptions& options : {small_options(), full_options(), mean_all}) {
    SmallTask small(options);
    std::set<size_t> counts;
    Tape tape;
    for (const Architecture& arch : random_architectures(small.child.space(), 30)) {
      for (const int64_t steps : {1, 5}) {
        tape.clear();
        small.task.train_loss(tape, arch, small.window(0, steps), 0);
        const RnnCell cell = small.child.space().decode(arch);
        EXPECT_EQ(tape.recorded_ops(), expected_ops(cell, options, static_cast<size_t>(steps)))
            << small.child.space().to_string(arch);
        EXPECT_EQ(tape.parameters().size(), 2 + cell.nodes.size());  // embedding, node 0's
        counts.insert(tape.recorded_ops());
      }
    }
    // For two lengths; a chain differs from a branched cell in the means alone.
    EXPECT_EQ(counts.size(), options.mean_all ? 2u : 4u);
  }
}

// What a step may touch: the embedding, node 0, and the chosen matrix of each node.
std::set<std::string> names_of(const RnnCell& cell) {
  std::set<std::string> names = {"embedding", "cell.input"};
  for (size_t i = 0; i < cell.nodes.size(); ++i) {
    names.insert("cell.edge." + std::to_string(i + 1) + "." +
                 std::to_string(cell.nodes[i].previous) + "." +
                 std::string(name_of(cell.nodes[i].activation)));
  }
  return names;
}

TEST(Executor, UntouchedWeightsAndSlotsKeepTheirBits) {
  SmallTask small(full_options());
  Sgd sgd({.momentum = 0.9, .clip = 0.25, .decay = 1e-3});
  Tape tape;
  uint64_t step = 0;
  for (const Architecture& arch : random_architectures(small.child.space(), 20)) {
    const auto weights = bytes_of(small.child.parameters()), slots = bytes_of(sgd);
    const StepReport report =
        shared_step(tape, small.task, {&arch, 1}, small.window(), step++, sgd, 1);
    ASSERT_TRUE(report.finite());
    const auto names = names_of(small.child.space().decode(arch));
    for (const auto& [name, bytes] : bytes_of(small.child.parameters()))
      EXPECT_EQ(bytes != weights.at(name), names.count(name) == 1) << name;
    for (const auto& [name, bytes] : bytes_of(sgd)) {
      const bool changed = slots.count(name) == 0 || slots.at(name) != bytes;
      EXPECT_EQ(changed, names.count(name.substr(0, name.rfind('.'))) == 1) << name;
    }
  }
}

TEST(Executor, DenseMovesEveryWeightAndSlot) {
  SmallTask small(small_options());
  Sgd sgd({.momentum = 0.9, .decay = 1e-3, .dense = true});
  Tape tape;
  const auto archs = random_architectures(small.child.space(), 3);
  shared_step(tape, small.task, {archs.data(), 1}, small.window(), 0, sgd, 1);
  EXPECT_EQ(bytes_of(sgd).size(), small.child.parameters().size());
  const auto weights = bytes_of(small.child.parameters()), slots = bytes_of(sgd);
  shared_step(tape, small.task, {&archs[1], 1}, small.window(), 1, sgd, 1);
  for (const auto& [name, bytes] : bytes_of(small.child.parameters()))
    EXPECT_NE(bytes, weights.at(name)) << name;
  for (const auto& [name, bytes] : bytes_of(sgd)) EXPECT_NE(bytes, slots.at(name)) << name;
}

// Every architecture of the space of two nodes with a searched node 0, 4 * 2! * 4^2 = 128.
class TinySpace : public testing::TestWithParam<std::pair<CellKind, Share>> {
 protected:
  TinySpace() {
    RnnChildOptions options = full_options();
    options.vocabulary = 5;
    options.hidden = 3;
    options.init_range = 0.8;
    std::tie(options.cell, options.share) = GetParam();
    options_ = options;
  }
  RnnChildOptions options_;
  RnnSpace space_{2, true};
};

TEST_P(TinySpace, EveryArchitectureTrainsAStep) {
  const std::vector<int32_t> tokens = random_tokens(60, options_.vocabulary);
  RnnChild child(space_, options_, 1);
  RnnTask task(child, {.batch = 2, .reward_batch = 2}, tokens, tokens, 0);
  Sgd sgd({.clip = 0.25});
  Tape tape;
  uint64_t step = 0;
  const auto all = all_architectures(space_);
  ASSERT_EQ(all.size(), 128u);
  for (const Architecture& arch : all) {
    const auto before = bytes_of(child.parameters());
    const StepReport report =
        shared_step(tape, task, {&arch, 1}, task.train_streams().window(0, 3), step++, sgd, 0.5);
    EXPECT_TRUE(report.finite() && report.loss() > 0 && report.grad_norm() > 0);
    size_t changed = 0;
    for (const auto& [name, bytes] : bytes_of(child.parameters()))
      changed += bytes != before.at(name) ? 1 : 0;
    // A locked mask of three units may cut a node's matrix off altogether.
    EXPECT_GE(changed, 2u);
    EXPECT_LE(changed, 4u);
  }
}

// Fourth-order central differences of f over one element.
template <class F>
double slope(double& x, double h, const F& f) {
  const double centre = x;
  const auto at = [&](double offset) {
    x = centre + offset;
    return f();
  };
  const double result = (at(-2 * h) - 8 * at(-h) + 8 * at(h) - at(2 * h)) / (12 * h);
  x = centre;
  return result;
}

TEST_P(TinySpace, EveryArchitecturePassesTheGradientCheck) {
  RnnChild child(space_, options_, 3, DType::f64);
  RnnMasks masks = draw_masks(options_, 2, 1, 5);
  for (Tensor* mask : {&masks.word, &masks.input, &masks.recurrent, &masks.output})
    *mask = mask->to(DType::f64);
  const TextWindow window{3, 2, {0, 1, 2, 3, 4, 1}, {2, 3, 4, 1, 0, 2}};
  const Tensor state = Tensor::from({0.3, -0.2, 0.5, -0.6, 0.1, 0.4}, {2, 3}, DType::f64);
  size_t checked = 0, kinks = 0;
  for (const Architecture& arch : all_architectures(space_)) {
    Tape tape, scratch;
    const Tape::NoGrad no_grad(scratch);
    tape.backward(child.run(tape, arch, window, state, masks).loss);
    const auto loss = [&] {
      return child.run(scratch, arch, window, state, masks).loss.value().item();
    };
    const RnnCell cell = space_.decode(arch);
    bool relu = cell.first == Activation::relu;
    for (const auto& node : cell.nodes) relu |= node.activation == Activation::relu;
    ASSERT_EQ(tape.parameters().size(), 4u);
    for (Parameter* p : tape.parameters()) {
      for (int64_t i = 0; i < p->value.numel(); ++i) {
        double& x = p->value.data<double>()[i];
        const double want = slope(x, 1e-4, loss), got = p->grad.item(i);
        // At a relu's kink the differences themselves depend on the step.
        if (relu && std::fabs(slope(x, 2.5e-5, loss) - want) > 1e-7) {
          ++kinks;
          continue;
        }
        ++checked;
        EXPECT_NEAR(got, want, 1e-9 + 1e-8 * std::fabs(want))
            << space_.to_string(arch) << ": " << p->name << " element " << i;
      }
    }
  }
  // Embedding 5 x 3, node 0's matrix 6 x 3 and two edges 3 x 3, these three twice as wide if gated.
  const size_t elements = options_.cell == CellKind::highway ? 15 + 36 + 2 * 18 : 15 + 18 + 2 * 9;
  EXPECT_EQ(checked + kinks, 128 * elements);
  EXPECT_LE(kinks * 100, checked) << "kinks hide too much: " << kinks << " of " << checked;
}

// A child built for one architecture starts as the shared one does, and computes the same bits.
TEST_P(TinySpace, SharedChildEqualsTheChildBuiltAlone) {
  for (const bool searched : {false, true}) {
    const RnnSpace space(4, searched);
    RnnChildOptions options = full_options();
    std::tie(options.cell, options.share) = GetParam();
    RnnChild shared(space, options, 1);
    const std::vector<int32_t> tokens = random_tokens(60, options.vocabulary);
    const TextWindow window = TextStreams(tokens, 4, 0).window(2, 6);
    const RnnMasks masks = draw_masks(options, 4, 1, 5);
    const Tensor state = Tensor::full({4, options.hidden}, 0.25);
    for (const Architecture& arch : random_architectures(space, 20)) {
      RnnChild alone(space, options, 1, DType::f32, &arch);
      EXPECT_EQ(alone.parameters().size(), 6u);
      Tape tape, own;
      const RnnChild::Pass a = shared.run(tape, arch, window, state, masks);
      const RnnChild::Pass b = alone.run(own, arch, window, state, masks);
      tape.backward(a.loss);
      own.backward(b.loss);
      EXPECT_EQ(bytes_of(a.loss.value()), bytes_of(b.loss.value()));
      EXPECT_EQ(bytes_of(a.state), bytes_of(b.state));
      for (const Parameter& p : alone.parameters()) {
        const Parameter& twin = shared.parameters().get(p.name);
        EXPECT_TRUE(p.grad.defined()) << p.name;
        EXPECT_EQ(bytes_of(p.value), bytes_of(twin.value)) << p.name;
        EXPECT_EQ(bytes_of(p.grad), bytes_of(twin.grad)) << p.name;
      }
      for (Parameter& p : shared.parameters()) p.grad = Tensor();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, TinySpace,
                         testing::Values(std::pair{CellKind::highway, Share::edge_op},
                                         std::pair{CellKind::highway, Share::edge},
                                         std::pair{CellKind::plain, Share::edge_op},
                                         std::pair{CellKind::plain, Share::edge}),
                         [](const auto& test) {
                           return std::string(test.param.first == CellKind::plain ? "Plain"
                                                                                  : "Highway") +
                                  (test.param.second == Share::edge ? "Edge" : "EdgeOp");
                         });

TEST(Executor, AChildBuiltAloneRefusesOtherArchitectures) {
  const RnnSpace space(2);
  const Architecture arch = space.parse("0 0 1 1"), other = space.parse("0 0 0 1");
  RnnChild child(space, small_options(), 1, DType::f32, &arch);
  Tape tape;
  const TextWindow window{1, 1, {0}, {1}};
  EXPECT_THROW(child.run(tape, other, window, child.zero_state(1)), Error);
}

// docs/method.md section 8, with the embedding table (tied to the decoder), node 0's matrix and the
// edges' counted; nothing else has weights.
TEST(Executor, ParameterCountsOfTheSharedNetworks) {
  const auto count = [](int nodes, int64_t hidden, Share share, const Architecture* only) {
    RnnChildOptions options;
    options.vocabulary = 10000;
    options.hidden = hidden;
    options.share = share;
    return RnnChild(RnnSpace(nodes), options, 1, DType::f32, only).parameters().count();
  };
  EXPECT_EQ(count(9, 200, Share::edge_op, nullptr), 16'560'000);
  EXPECT_EQ(count(9, 200, Share::edge, nullptr), 5'760'000);
  const Architecture published = RnnSpace(8).parse(RnnSpace::published());
  EXPECT_EQ(count(8, 800, Share::edge_op, &published), 20'800'000);
  const Architecture official = RnnSpace(11).parse(RnnSpace::published_official());
  EXPECT_EQ(count(11, 748, Share::edge_op, &official), 22'027'104);
}

}  // namespace
}  // namespace enas::test
