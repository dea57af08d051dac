// The blocks of the convolutional networks by themselves against PyTorch, each behind its inputs
// and before ReLU, average and head: the separable block at stride 1 and 2, a whole micro cell at
// both strides, a whole macro layer. Loss, gradients of weights and inputs, 20 steps of Nesterov
// SGD over both. tests/golden/README.md has the cases.
#include <functional>

#include "nas/macro/layer.h"
#include "nas/micro/skeleton.h"
#include "nn/sgd.h"
#include "ops/global_avg_pool.h"
#include "ops/grad_norm.h"
#include "ops/softmax_cross_entropy.h"
#include "ops/sum_of.h"
#include "tests/golden/golden.h"

namespace enas::test {
namespace {

constexpr int64_t kChannels = 3, kClasses = 3, kSteps = 20;
constexpr double kRate = 0.05, kMomentum = 0.9, kDecay = 1e-3, kClip = 5;
// Floats: of a batch norm's statistics over 60 pixels, behind up to six more sums.
constexpr int64_t kLongestSum = 500;
// What the next normalisation takes away has no gradient but the rounding of the terms that cancel,
// which are this large.
constexpr double kLeastGradient = 1e-3;

const Golden& file() {
  static const Golden golden("blocks");
  return golden;
}

struct Block {
  ParameterStore store;
  LayerMaker make;
  explicit Block(DType dtype) : make(store, 1, dtype, false) {}
  Parameter* map(const std::string& name) const {
    return make.weight(name, {3, 5, 4, kChannels}, 1);
  }
  std::function<Var(Pass&)> forward;  // the block's output
};
using MakeBlock = std::function<void(Block&)>;

Var loss_of(Block& block, Tape& tape, Parameter* head) {
  Pass pass(tape, {});
  const Var features = global_avg_pool(block.forward(pass), true);
  return softmax_cross_entropy(pass.classify(features, head, 0), file().at("labels"));
}

void hold(const std::string& name, const MakeBlock& make) {
  Nearness first(kLongestSum, 1e-11), steps(kLongestSum, 1e-9);
  const std::string prefix = name + ".";
  for_each_path([&](DType dtype) {
    Block block(dtype);
    make(block);
    Parameter* head = block.make.linear("head", kChannels, kClasses);
    size_t loaded = 0;
    for (Parameter& p : block.store) {
      p.value = file().copy(prefix + "start." + p.name, dtype);
      ++loaded;
    }
    for (const auto& [key, tensor] : file().tensors())
      loaded -= key.rfind(prefix + "start.", 0) == 0 ? 1 : 0;
    ASSERT_EQ(loaded, 0u) << "weights of the file and of the block";
    Sgd sgd({.momentum = kMomentum, .nesterov = true, .clip = kClip, .decay = kDecay});
    Tape tape;
    for (int64_t step = 0; step < (dtype == DType::f64 ? kSteps : 1); ++step) {
      tape.clear();
      const Var loss = loss_of(block, tape, head);
      tape.backward(loss);
      if (step == 0) first.expect(loss.value(), file().at(prefix + "loss"), "loss");
      for (Parameter& p : block.store) {
        if (step == 0)
          first.expect(p.grad, file().at(prefix + "grad." + p.name), p.name, kLeastGradient);
      }
      const Tensor gate = sgd.step(tape.parameters(), kRate, loss.value());
      if (dtype != DType::f64) continue;
      EXPECT_NEAR(loss.value().item(), file().at(prefix + "losses").item(step), 1e-9) << step;
      EXPECT_NEAR(gate.item(kGateNorm), file().at(prefix + "norms").item(step), 1e-9) << step;
    }
    if (dtype != DType::f64) return;
    for (Parameter& p : block.store)
      steps.expect(p.value, file().at(prefix + "end." + p.name), p.name);
  });
}

Var use(Pass& pass, Parameter* p) { return pass.use(p); }
Term plain(Var x) { return {std::move(x), std::nullopt, Tensor()}; }

// (ReLU, depthwise, pointwise, BN) twice.
MakeBlock separable_block(MicroOp op, int64_t stride) {
  return [op, stride](Block& block) {
    Parameter* x = block.map("x");
    MicroEdge edge;
    for (const int stack : {0, 1})
      edge.stacks[static_cast<size_t>(stack)] =
          make_stack(block.make, "block", stack, op, kChannels);
    block.forward = [=](Pass& pass) {
      return value_of(run_micro_op(pass, op, edge, use(pass, x), stride, Padding::same));
    };
  };
}

struct CellWeights {
  std::vector<Parameter*> inputs;
  std::vector<std::array<MicroEdge, 2>> edges;  // [node][side]
  std::array<ReductionBn, 2> unused;            // inputs that are loose ends, at stride 2
  PointwiseBn end;
};

CellWeights make_cell(Block& block, const MicroCell& cell, int64_t stride) {
  CellWeights weights;
  weights.inputs = {block.map("x.0"), block.map("x.1")};
  const auto make_edge = [&](const std::string& name, int input, MicroOp op) {
    MicroEdge edge;
    if (is_separable(op)) {
      for (const int stack : {0, 1})
        edge.stacks[static_cast<size_t>(stack)] =
            make_stack(block.make, name, stack, op, kChannels);
    } else if (op == MicroOp::identity && stride == 2 && input < 2) {
      edge.identity = block.make.reduction(name, kChannels, kChannels);
    }
    return edge;
  };
  for (size_t n = 0; n < cell.nodes.size(); ++n) {
    const MicroCell::Node& node = cell.nodes[n];
    const std::string name = "node." + std::to_string(n + 2);
    weights.edges.push_back(
        {make_edge(name + ".x", node.in1, node.op1), make_edge(name + ".y", node.in2, node.op2)});
  }
  for (const int k : cell.loose_ends) {
    if (stride == 2 && k < 2)
      weights.unused.at(static_cast<size_t>(k)) =
          block.make.reduction("unused." + std::to_string(k), kChannels, kChannels);
  }
  const std::vector<int64_t> widths(cell.loose_ends.size(), kChannels);
  weights.end = block.make.pointwise("end", widths, kChannels);
  return weights;
}

Var run_cell(Pass& pass, const CellWeights& weights, const MicroCell& cell, int64_t stride) {
  std::vector<Var> values = {use(pass, weights.inputs[0]), use(pass, weights.inputs[1])};
  for (size_t n = 0; n < cell.nodes.size(); ++n) {
    const MicroCell::Node& node = cell.nodes[n];
    const auto term = [&](size_t side, int input, MicroOp op) {
      return run_micro_op(pass, op, weights.edges[n].at(side), values[static_cast<size_t>(input)],
                          input < 2 ? stride : 1, Padding::same);
    };
    const std::array<Term, 2> terms = {term(0, node.in1, node.op1), term(1, node.in2, node.op2)};
    values.push_back(sum_of(terms, false).y);
  }
  std::vector<Var> ends;
  for (const int k : cell.loose_ends) {
    const auto at = static_cast<size_t>(k);
    const ReductionBn* by = stride == 2 && k < 2 ? &weights.unused.at(at) : nullptr;
    ends.push_back(by != nullptr ? pass.now(by->forward(pass, values[at], false), by->norm)
                                 : values[at]);
  }
  return pass.now(weights.end.forward(pass, ends, true), weights.end.norm);
}

MakeBlock whole_cell(bool reduction) {
  return [reduction](Block& block) {
    const MicroSpace space(3);
    const MicroArch arch =
        space.decode(space.parse("0 0 1 4  1 1 2 2  0 3 3 0  1 1 0 4  0 0 1 3  2 2 1 1"));
    const MicroCell cell = reduction ? arch.reduction : arch.normal;
    const int64_t stride = reduction ? 2 : 1;
    const CellWeights weights = make_cell(block, cell, stride);
    block.forward = [=](Pass& pass) { return run_cell(pass, weights, cell, stride); };
  };
}

// The predecessor through the operation, two earlier tensors as skips: summed in the search
// network, concatenated in the final one.
MakeBlock whole_layer(MacroOp op, bool final) {
  return [op, final](Block& block) {
    std::vector<Parameter*> maps = {block.map("x"), block.map("skip.0"), block.map("skip.1")};
    const std::string name = std::string("layer.") + key_of(op);
    const MacroOpLayer layer =
        make_macro_op(block.make, name, op, kChannels, false, final ? 1e-5 : 1e-3);
    PointwiseBn joined;
    BatchNorm norm;
    if (final) {
      joined = block.make.pointwise("layer.skips", std::vector<int64_t>(3, kChannels), kChannels);
    } else {
      norm = block.make.norm("layer.skips.norm", kChannels);
    }
    block.forward = [=](Pass& pass) {
      const Term y = run_macro_op(pass, layer, op, use(pass, maps[0]), final, !final);
      const Var first = use(pass, maps[1]), second = use(pass, maps[2]);
      if (!final) return pass.now(sum_of({y, plain(first), plain(second)}, pass.stats()), norm);
      const std::array<Var, 3> sources = {first, second, value_of(y)};
      return pass.now(joined.forward(pass, sources, true), joined.norm);
    };
  };
}

TEST(GoldenBlocks, SeparableBlockAtStride1) {
  hold("sep3_s1", separable_block(MicroOp::sep3, 1));
  hold("sep5_s1", separable_block(MicroOp::sep5, 1));
}
TEST(GoldenBlocks, SeparableBlockAtStride2) {
  hold("sep3_s2", separable_block(MicroOp::sep3, 2));
  hold("sep5_s2", separable_block(MicroOp::sep5, 2));
}
TEST(GoldenBlocks, WholeMicroCell) {
  hold("cell", whole_cell(false));
  hold("cell_s2", whole_cell(true));
}
TEST(GoldenBlocks, WholeMacroLayer) {
  hold("layer_conv5", whole_layer(MacroOp::conv5, false));
  hold("layer_sep3", whole_layer(MacroOp::sep3, false));
  hold("layer_max", whole_layer(MacroOp::max_pool, false));
  hold("layer_final", whole_layer(MacroOp::sep3, true));
}

}  // namespace
}  // namespace enas::test
