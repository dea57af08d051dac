// The executor's four tests (tests/nas/executor_test.cpp) for the macro space: what an architecture
// does not reach is not recorded, has no gradient and keeps its bits; every architecture of a tiny
// space trains a step and has the right gradient; a shared child equals one built alone.
#include "nas/macro/child.h"
#include "nas/macro/final.h"
#include "tests/nas/image_networks.h"
#include "tests/nas/naive_networks.h"

namespace enas::test {
namespace {

struct Small {
  explicit Small(int layers, bool concat = false, int64_t filters = 2, DType dtype = DType::f32,
                 const Architecture* only = nullptr)
      : child(MacroSpace(layers, {.concat_input = concat}), options(filters), 1, dtype, only),
        task(child, {.reward_batch = 4}, random_image_set(8, 4, 3)) {}
  static MacroChildOptions options(int64_t filters) {
    MacroChildOptions options;
    options.filters = filters;
    options.classes = 3;
    return options;
  }
  static ImageBatch batch(int64_t n = 3) {
    return {random_images(n, 4, 4, DType::f32), Tensor::from_indices({0, 1, 2}, {n})};
  }
  MacroChild child;
  ImageTask<MacroChild> task;
};

// For every layer the stored tensors it reads, and whether the output depends on it: by hand.
struct Reads {
  std::vector<std::vector<size_t>> sources;
  std::vector<bool> reached;
  Reads(const MacroArch& arch, bool concat) : sources(arch.layers.size()) {
    const size_t n = arch.layers.size();
    for (size_t i = 0; i < n; ++i) {
      if (!concat) sources[i] = {i};
      for (size_t k = 0; k < arch.layers[i].skips.size(); ++k)
        if (arch.layers[i].skips[k]) sources[i].push_back(concat ? k + 1 : k);
      if (sources[i].empty()) sources[i] = {i};
    }
    reached.assign(n + 1, false);  // stored tensors: 0 is the stem
    reached[n] = true;
    for (size_t i = n; i-- > 0;)
      if (reached[i + 1])
        for (const size_t t : sources[i]) reached[t] = true;
  }
  bool reduced(size_t tensor, size_t after) const {
    for (size_t i = after + 1; i < sources.size(); ++i) {
      if (reached[i + 1] && std::count(sources[i].begin(), sources[i].end(), tensor) > 0)
        return true;
    }
    return false;
  }
};

bool is_pool(int op) { return op >= 4; }

// Ops of a training pass and its loss; use() of a weight is none. A convolution and its batch norm
// are two, unless the norm is left to the reader.
size_t expected_ops(const MacroArch& arch, bool concat, bool final, bool dropout) {
  const Reads reads(arch, concat);
  size_t ops = 2;  // stem
  for (size_t i = 0; i < arch.layers.size(); ++i) {
    const int op = static_cast<int>(arch.layers[i].op);
    if (reads.reached[i + 1]) {
      if (concat) ops += 2;
      ops += op == 1 || op == 3 ? 2 : 3;  // 1x1, (norm), the operation
      const bool skips = reads.sources[i].size() > 1;
      if (concat || i == 0 || final) {
        ops += is_pool(op) ? 0 : 1;  // its norm
        if (final && !concat && i > 0) ops += 2;
      } else {
        ops += is_pool(op) && !skips ? 1 : 2;  // (sum), norm
      }
    }
    if (!macro_reduces(i, arch.layers.size())) continue;
    for (size_t t = 0; t <= i + 1; ++t) ops += reads.reduced(t, i) ? 2 : 0;
  }
  return ops + 1 + (dropout ? 1 : 0) + 1 + 1;  // average, mask, head, loss
}

// Names of the weights that a step may touch.
std::set<std::string> expected_names(const MacroArch& arch, bool concat) {
  const Reads reads(arch, concat);
  std::set<std::string> names = {"stem.weight", "head.weight"};
  const auto norm = [&](const std::string& name) {
    names.insert(name + ".scale"), names.insert(name + ".offset");
  };
  norm("stem.norm");
  for (size_t i = 0; i < arch.layers.size(); ++i) {
    const int op = static_cast<int>(arch.layers[i].op);
    const std::string layer = "layer." + std::to_string(i), name = layer + "." + macro_key(op);
    if (reads.reached[i + 1]) {
      if (concat) {
        norm(layer + ".input.norm");
        for (const size_t t : reads.sources[i])
          names.insert(layer + ".input." + stored_name(t) + ".weight");
      } else if (i > 0) {
        norm(layer + ".skips.norm");
      }
      names.insert(name + ".first.weight"), norm(name + ".first.norm");
      if (!is_pool(op)) norm(name + ".second.norm");
      if (op == 0 || op == 2) names.insert(name + ".second.weight");
      if (op == 1 || op == 3)
        names.insert(name + ".second.depthwise"), names.insert(name + ".second.pointwise");
    }
    if (!macro_reduces(i, arch.layers.size())) continue;
    for (size_t t = 0; t <= i + 1; ++t) {
      if (!reads.reduced(t, i)) continue;
      const std::string by = "reduction." + std::to_string(i) + "." + stored_name(t);
      names.insert(by + ".even"), names.insert(by + ".odd"), norm(by + ".norm");
    }
  }
  return names;
}

TEST(MacroExecutor, RecordedOpsAreThoseOfTheArchitecture) {
  for (const bool concat : {false, true}) {
    Small small(7, concat);
    const MacroSpace& space = small.child.space();
    Tape tape;
    std::set<size_t> counts;
    for (const Architecture& arch : some_architectures(space, 40)) {
      const MacroArch decoded = space.decode(arch);
      tape.clear();
      small.task.train_loss(tape, arch, Small::batch(), 0);
      EXPECT_EQ(tape.recorded_ops(), expected_ops(decoded, concat, false, true))
          << space.to_string(arch);
      EXPECT_EQ(names_of(tape.parameters()), expected_names(decoded, concat))
          << space.to_string(arch);
      counts.insert(tape.recorded_ops());
      MacroFinalOptions options;
      options.filters = 2, options.classes = 3, options.dropout = 0;
      MacroFinal net(space, arch, options, 1);
      ImageTask<MacroFinal> task(net, {.reward_batch = 4}, random_image_set(8, 4, 3));
      tape.clear();
      task.train_loss(tape, arch, Small::batch(), 0);
      EXPECT_EQ(tape.recorded_ops(), expected_ops(decoded, concat, true, false))
          << space.to_string(arch);
      EXPECT_EQ(tape.parameters().size(), net.parameters().size());
    }
    EXPECT_GT(counts.size(), 5u);
  }
}

TEST(MacroExecutor, UntouchedWeightsAndSlotsKeepTheirBits) {
  for (const bool concat : {false, true}) {
    Small small(4, concat);
    Sgd sgd({.momentum = 0.9, .nesterov = true, .decay = 1e-3});
    Tape tape;
    uint64_t step = 0;
    for (const Architecture& arch : some_architectures(small.child.space(), 12)) {
      const auto weights = bytes_of(small.child.parameters()), slots = bytes_of(sgd);
      const StepReport report =
          shared_step(tape, small.task, {&arch, 1}, Small::batch(), step++, sgd, 0.1);
      ASSERT_TRUE(report.finite());
      const auto names = expected_names(small.child.space().decode(arch), concat);
      for (const auto& [name, bytes] : bytes_of(small.child.parameters())) {
        // Decay moves every weight in use but an offset that is 0 and has no gradient.
        if (names.count(name) == 0) {
          EXPECT_EQ(bytes, weights.at(name)) << name;
        } else if (name.find(".offset") == std::string::npos) {
          EXPECT_NE(bytes, weights.at(name)) << name;
        }
      }
      for (const auto& [name, bytes] : bytes_of(sgd)) {
        const bool in_use = names.count(name.substr(0, name.rfind('.'))) == 1;
        EXPECT_TRUE(in_use || (slots.count(name) == 1 && slots.at(name) == bytes)) << name;
      }
    }
  }
}

// 6^3 * 2^3 architectures with both reductions.
TEST(MacroExecutor, EveryArchitectureOfATinySpaceTrainsAStep) {
  Small small(3);
  // Clipped as a search is: three images a batch can leave a channel with next to no variance.
  Sgd sgd({.momentum = 0.9, .clip = 5});
  Tape tape;
  uint64_t step = 0;
  const auto all = every_architecture(small.child.space());
  ASSERT_EQ(all.size(), 1728u);
  for (const Architecture& arch : all) {
    const StepReport report =
        shared_step(tape, small.task, {&arch, 1}, Small::batch(), step++, sgd, 0.01);
    EXPECT_TRUE(report.finite() && report.loss() > 0 && report.grad_norm() > 0)
        << small.child.space().to_string(arch);
  }
}

TEST(MacroExecutor, EveryArchitectureOfATinySpacePassesTheGradientCheck) {
  for (const bool concat : {false, true}) {
    Small small(2, concat, 2, DType::f64);
    roughen(small.child.parameters());
    const Tensor images = random_images(2, 3, 3), labels = Tensor::from_indices({2, 0}, {2});
    Checked all;
    const auto architectures = every_architecture(small.child.space());
    ASSERT_EQ(architectures.size(), 72u);
    for (const Architecture& arch : architectures) {
      Tape tape, scratch;
      const Tape::NoGrad no_grad(scratch);
      const auto loss = [&](Tape& on) {
        return softmax_cross_entropy(small.child.forward(on, arch, images, {}).logits, labels);
      };
      tape.backward(loss(tape));
      const Checked checked = check_gradients(tape, 5, small.child.space().to_string(arch),
                                              [&] { return loss(scratch).value().item(); });
      all.elements += checked.elements, all.kinks += checked.kinks;
    }
    EXPECT_GT(all.elements, 1500u);
    EXPECT_LE(all.kinks * 20, all.elements) << "kinks hide too much: " << all.kinks;
  }
}

TEST(MacroExecutor, SharedChildEqualsTheChildBuiltAlone) {
  for (const bool concat : {false, true}) {
    Small shared(7, concat, 3);
    for (const Architecture& arch : some_architectures(shared.child.space(), 10)) {
      Small alone(7, concat, 3, DType::f32, &arch);
      Tape tape, own;
      const Var a = shared.task.train_loss(tape, arch, Small::batch(), 4);
      const Var b = alone.task.train_loss(own, arch, Small::batch(), 4);
      tape.backward(a), own.backward(b);
      EXPECT_EQ(bytes_of(a.value()), bytes_of(b.value()));
      EXPECT_EQ(own.parameters().size(), alone.child.parameters().size());
      for (const Parameter& p : alone.child.parameters()) {
        const Parameter& twin = shared.child.parameters().get(p.name);
        EXPECT_TRUE(p.grad.defined()) << p.name;
        EXPECT_EQ(bytes_of(p.value), bytes_of(twin.value)) << p.name;
        EXPECT_EQ(bytes_of(p.grad), bytes_of(twin.grad)) << p.name;
      }
      for (Parameter& p : shared.child.parameters()) p.grad = Tensor();
    }
  }
}

}  // namespace
}  // namespace enas::test
