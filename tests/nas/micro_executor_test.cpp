// The executor's four tests (tests/nas/executor_test.cpp) for the micro space.
#include "nas/micro/child.h"
#include "nas/micro/final.h"
#include "tests/nas/image_networks.h"

namespace enas::test {
namespace {

struct Small {
  explicit Small(int nodes, bool stride2 = false, DType dtype = DType::f32,
                 const Architecture* only = nullptr, int cells = 1)
      : child(MicroSpace(nodes), options(stride2, cells), 1, dtype, only),
        task(child, {.reward_batch = 4}, random_image_set(8, 4, 3)) {}
  static MicroChildOptions options(bool stride2, int cells) {
    MicroChildOptions options;
    options.normal_cells = cells;
    options.filters = 2;
    options.classes = 3;
    options.reduce_stride2 = stride2;
    return options;
  }
  static ImageBatch batch() {
    return {random_images(3, 4, 4, DType::f32), Tensor::from_indices({0, 1, 2}, {3})};
  }
  MicroChild child;
  ImageTask<MicroChild> task;
};

struct Edge {
  int input, op;
};
std::array<Edge, 2> edges_of(const MicroCell::Node& n) {
  return {Edge{n.in1, static_cast<int>(n.op1)}, Edge{n.in2, static_cast<int>(n.op2)}};
}
bool reduces(int layer, int cells) { return layer == cells / 3 || layer == 2 * (cells / 3) + 1; }

// Ops of one cell without its inputs: an edge's convolutions are two ops, a pool one, an identity
// none, where it halves the map one; a sum each node.
size_t cell_ops(const MicroCell& cell, bool halves) {
  size_t ops = cell.nodes.size();
  for (const MicroCell::Node& n : cell.nodes) {
    for (const Edge& e : edges_of(n))
      ops += e.op < 2 ? 2 : e.op < 4 ? 1 : halves && e.input < 2 ? 1 : 0;
  }
  for (const int end : cell.loose_ends) ops += halves && end < 2 ? 2 : 0;
  return ops;
}

size_t expected_search_ops(const MicroArch& arch, int cells, bool stride2) {
  size_t ops = 2 + 1 + 1 + 1 + 1;              // stem; average, mask, head, loss
  bool first_fits = false, last_fits = false;  // inputs that need no calibration
  for (int i = 0; i < cells + 2; ++i) {
    const bool reduction = reduces(i, cells), halves = reduction && stride2;
    if (reduction && !stride2) ops += 2 + 2;  // both inputs from one output
    if (reduction && stride2) ops += 2 + 2;
    if (!reduction) ops += (first_fits ? 0 : 2) + (last_fits ? 0 : 2);
    ops += cell_ops(reduction ? arch.reduction : arch.normal, halves) + 2;
    // Behind this cell: its second input is the next one's first.
    first_fits = reduction ? !stride2 : last_fits;
    last_fits = true;
  }
  return ops;
}

size_t expected_final_ops(const MicroArch& arch, int cells, int64_t filters) {
  size_t ops = 2 + 2, ends = 1, sources_before = 1;  // stem; head, loss
  int64_t before = 3 * filters, last = before;       // channels
  bool larger = false;                               // the first input than the second
  for (int i = 0; i < cells + 2; ++i) {
    const bool reduction = reduces(i, cells);
    const MicroCell& cell = reduction ? arch.reduction : arch.normal;
    if (reduction) filters *= 2;
    if (larger) {
      ops += sources_before == 1 ? 2 : sources_before + 2;  // a reduction each, their sum, norm
    } else if (before != filters) {
      ops += 2;
    } else if (sources_before > 1) {
      ops += sources_before + (sources_before - 1) + 1;  // views, joins, a view
    }
    ops += last != filters ? 4 : 2;
    ops += cell_ops(cell, reduction);
    sources_before = ends;
    ends = cell.loose_ends.size();
    before = last;
    last = static_cast<int64_t>(ends) * filters;
    larger = reduction;
  }
  return ops + ends + ends - 1;
}

// Names of the weights that a step of the search child may touch.
std::set<std::string> expected_names(const MicroArch& arch, int cells, bool stride2) {
  std::set<std::string> names = {"stem.weight", "head.weight", "stem.norm.scale",
                                 "stem.norm.offset"};
  const auto norm = [&](const std::string& name) {
    names.insert(name + ".norm.scale"), names.insert(name + ".norm.offset");
  };
  const auto pair = [&](const std::string& name, const char* a, const char* b) {
    names.insert(name + a), names.insert(name + b), norm(name);
  };
  bool first_fits = false, last_fits = false, first_larger = false;
  for (int i = 0; i < cells + 2; ++i) {
    const bool reduction = reduces(i, cells);
    const std::string layer = "layer." + std::to_string(i);
    if (reduction && !stride2) pair(layer + ".before", ".even", ".odd");
    const bool reduced = (reduction && !stride2) || first_larger;
    if (reduced) {
      pair(layer + ".input.0", ".even", ".odd");
    } else if (!first_fits || reduction) {
      names.insert(layer + ".input.0.weight"), norm(layer + ".input.0");
    }
    if (reduction ? stride2 : !last_fits)
      names.insert(layer + ".input.1.weight"), norm(layer + ".input.1");
    const MicroCell& cell = reduction ? arch.reduction : arch.normal;
    for (size_t n = 0; n < cell.nodes.size(); ++n) {
      const auto edges = edges_of(cell.nodes[n]);
      for (size_t side = 0; side < 2; ++side) {
        const auto& [input, op] = edges[side];
        const std::string edge = layer + ".node." + std::to_string(n + 2) +
                                 (side == 0 ? ".x" : ".y") + ".from." + std::to_string(input);
        if (op < 2) {
          const std::string kernel = edge + (op == 0 ? ".sep3" : ".sep5");
          pair(kernel + ".0", ".depthwise", ".pointwise");
          pair(kernel + ".1", ".depthwise", ".pointwise");
        } else if (op == 4 && reduction && stride2 && input < 2) {
          pair(edge + ".identity", ".even", ".odd");
        }
      }
    }
    for (const int end : cell.loose_ends) {
      const std::string name = layer + ".end." + std::to_string(end);
      names.insert(name + ".weight");
      if (reduction && stride2 && end < 2) pair(name + ".reduce", ".even", ".odd");
    }
    norm(layer + ".end");
    first_larger = reduction && stride2;
    first_fits = reduction ? !stride2 : last_fits;
    last_fits = true;
  }
  return names;
}

TEST(MicroExecutor, RecordedOpsAreThoseOfTheArchitecture) {
  for (const bool stride2 : {false, true}) {
    for (const int cells : {1, 4}) {
      Small small(3, stride2, DType::f32, nullptr, cells);
      const MicroSpace& space = small.child.space();
      Tape tape;
      for (const Architecture& arch : some_architectures(space, 25)) {
        const MicroArch decoded = space.decode(arch);
        tape.clear();
        small.task.train_loss(tape, arch, Small::batch(), 0);
        EXPECT_EQ(tape.recorded_ops(), expected_search_ops(decoded, cells, stride2))
            << space.to_string(arch);
        EXPECT_EQ(names_of(tape.parameters()), expected_names(decoded, cells, stride2))
            << space.to_string(arch);
        if (stride2) continue;
        MicroFinalOptions options;
        options.normal_cells = cells, options.filters = 2, options.classes = 3;
        options.dropout = 0, options.auxiliary = false;
        MicroFinal net(space, arch, options, 1);
        tape.clear();
        const Tensor images = random_images(3, 4, 4, DType::f32);
        softmax_cross_entropy(net.forward(tape, arch, images, {}).logits,
                              Tensor::from_indices({0, 1, 2}, {3}));
        EXPECT_EQ(tape.recorded_ops(), expected_final_ops(decoded, cells, 2))
            << space.to_string(arch);
        EXPECT_EQ(tape.parameters().size(), net.parameters().size());
      }
    }
  }
}

TEST(MicroExecutor, UntouchedWeightsAndSlotsKeepTheirBits) {
  for (const bool stride2 : {false, true}) {
    Small small(3, stride2);
    Sgd sgd({.momentum = 0.9, .nesterov = true, .decay = 1e-3});
    Tape tape;
    uint64_t step = 0;
    for (const Architecture& arch : some_architectures(small.child.space(), 12)) {
      const auto weights = bytes_of(small.child.parameters()), slots = bytes_of(sgd);
      const StepReport report =
          shared_step(tape, small.task, {&arch, 1}, Small::batch(), step++, sgd, 0.1);
      ASSERT_TRUE(report.finite());
      const auto names = expected_names(small.child.space().decode(arch), 1, stride2);
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

// Cells of one node: (2 * 5)^4 architectures, which tiny_spaces_test.cpp runs and trains; here, for
// the gradient check, all normal cells with one reduction cell, and the reverse.
std::vector<Architecture> one_node_architectures(const MicroSpace& space) {
  std::vector<Architecture> list;
  const auto all = every_architecture(space);
  for (const Architecture& arch : all) {
    const std::vector<int32_t>& c = arch.choices;
    const std::vector<int32_t> normal(c.begin(), c.begin() + 4), reduction(c.begin() + 4, c.end());
    const std::vector<int32_t> fixed = {0, 1, 0, 3};  // sep3 of 0 + max of 1
    if (normal == fixed || reduction == fixed) list.push_back(arch);
  }
  EXPECT_EQ(all.size(), 10'000u);
  EXPECT_EQ(list.size(), 199u);
  return list;
}

TEST(MicroExecutor, EveryCellOfATinySpacePassesTheGradientCheck) {
  for (const bool stride2 : {false, true}) {
    Small small(1, stride2, DType::f64);
    roughen(small.child.parameters());
    const Tensor images = random_images(2, 3, 3), labels = Tensor::from_indices({2, 0}, {2});
    Checked all;
    for (const Architecture& arch : one_node_architectures(small.child.space())) {
      Tape tape, scratch;
      const Tape::NoGrad no_grad(scratch);
      const auto loss = [&](Tape& on) {
        return softmax_cross_entropy(small.child.forward(on, arch, images, {}).logits, labels);
      };
      tape.backward(loss(tape));
      const Checked checked = check_gradients(tape, 31, small.child.space().to_string(arch),
                                              [&] { return loss(scratch).value().item(); });
      all.elements += checked.elements, all.kinks += checked.kinks;
    }
    EXPECT_GT(all.elements, 2000u);
    EXPECT_LE(all.kinks * 20, all.elements) << "kinks hide too much: " << all.kinks;
  }
}

TEST(MicroExecutor, SharedChildEqualsTheChildBuiltAlone) {
  for (const bool stride2 : {false, true}) {
    Small shared(4, stride2, DType::f32, nullptr, 3);
    for (const Architecture& arch : some_architectures(shared.child.space(), 8)) {
      Small alone(4, stride2, DType::f32, &arch, 3);
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

TEST(MicroExecutor, AChildBuiltAloneRefusesOtherArchitectures) {
  const MicroSpace space(1);
  const Architecture arch = space.parse("0 0 1 2 0 2 1 4");
  MicroChildOptions options;
  options.normal_cells = 1, options.filters = 2;
  MicroChild child(space, options, 1, DType::f32, &arch);
  MicroFinalOptions final;
  final.normal_cells = 1, final.filters = 2, final.auxiliary = false;
  MicroFinal net(space, arch, final, 1);
  const Tensor images = random_images(2, 4, 4, DType::f32);
  Tape tape;
  const Architecture other = space.parse("0 0 1 1 0 2 1 4");
  EXPECT_THROW(child.forward(tape, other, images, {}), Error);
  EXPECT_THROW(net.forward(tape, other, images, {}), Error);
}

}  // namespace
}  // namespace enas::test
