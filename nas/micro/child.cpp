#include "nas/micro/child.h"

#include <algorithm>
#include <cmath>

#include "nn/init.h"
#include "ops/global_avg_pool.h"
#include "ops/sum_of.h"

namespace enas {
namespace {

constexpr std::array kSides = {"x", "y"};

bool is_loose(const MicroCell& cell, int node) {
  return std::find(cell.loose_ends.begin(), cell.loose_ends.end(), node) != cell.loose_ends.end();
}

}  // namespace

MicroChild::MicroChild(MicroSpace space, const MicroChildOptions& options, uint64_t seed,
                       DType dtype, const Architecture* only, Device device)
    : space_(std::move(space)),
      options_(options),
      skeleton_{options.normal_cells},
      dtype_(dtype),
      parameters_(device) {
  check(options.filters >= 2 && options.classes >= 1 && options.normal_cells >= 0, ErrorKind::usage,
        "micro child", "needs at least 2 filters and 1 class, got ", options.filters, " and ",
        options.classes);
  const LayerMaker make(parameters_, seed, dtype, false);
  const MicroArch arch = only != nullptr ? space_.decode(*only) : MicroArch{};
  int64_t filters = options.filters;
  stem_ = make.conv("stem", 3, 3, 3 * filters);
  Map before{3 * filters, 0}, last = before;
  layers_.resize(static_cast<size_t>(skeleton_.layers()));
  for (int i = 0; i < skeleton_.layers(); ++i) {
    const bool reduction = skeleton_.reduces(i);
    if (reduction) filters *= 2;
    const MicroCell* cell = reduction ? &arch.reduction : &arch.normal;
    make_layer(make, i, only != nullptr ? cell : nullptr, before, last, filters);
    if (options.auxiliary && i == skeleton_.auxiliary_layer()) {
      auxiliary_ = AuxiliaryHead(make, {&filters, 1}, reduced_twice(options.image_size),
                                 options.classes, options.frozen_auxiliary);
    }
  }
  check(!options.auxiliary || auxiliary_, ErrorKind::usage, "micro child",
        "has no cell behind the second reduction for an auxiliary head; use 1 normal cell or more");
  linear_ = make.linear("head", filters, options.classes);
  if (options.he_rows) init_by_rows(seed);
}

// Parity switch he-rows (docs/method.md section 3.2): the published program keeps the weights that
// are keyed by an input in one table, a row an input, and takes the number of rows for the fan-in.
void MicroChild::init_by_rows(uint64_t seed) {
  const auto init = [seed](Parameter* p, size_t rows) {
    if (p != nullptr) init_normal(*p, std::sqrt(2 / static_cast<double>(rows)), seed);
  };
  for (Layer& layer : layers_) {
    for (size_t node = 0; node < layer.edges.size(); ++node) {
      for (std::vector<Layer::Edge>& from : layer.edges[node]) {
        for (Layer::Edge& edge : from) {
          for (MicroEdge& kernel : edge.kernels) {
            for (SeparableBn& stack : kernel.stacks)
              init(stack.depthwise, node + 2), init(stack.pointwise, node + 2);
          }
        }
      }
    }
    for (Parameter* end : layer.ends) init(end, layer.ends.size());
  }
}

std::vector<Parameter*> MicroChild::trainable() {
  std::vector<Parameter*> list;
  for (Parameter& p : parameters_) {
    if (!options_.frozen_auxiliary || !AuxiliaryHead::owns(p)) list.push_back(&p);
  }
  return list;
}

// before, last: the two outputs the cell reads; on return those that the next one reads.
void MicroChild::make_layer(const LayerMaker& make, int index, const MicroCell* only, Map& before,
                            Map& last, int64_t filters) {
  Layer& layer = layers_[static_cast<size_t>(index)];
  const std::string name = "layer." + std::to_string(index);
  const bool reduction = skeleton_.reduces(index), stride2 = reduction && options_.reduce_stride2;
  if (reduction && !stride2) {
    layer.before = make.reduction(name + ".before", last.channels, filters);
    before = last;
    last = {filters, last.reductions + 1};
  }
  const std::string first = name + ".input.0", second = name + ".input.1";
  if (before.reductions != last.reductions) {
    layer.inputs[0].reduce = make.reduction(first, before.channels, filters);
  } else if (before.channels != filters) {
    layer.inputs[0].point = make.pointwise(first, before.channels, filters);
  }
  if (last.channels != filters)
    layer.inputs[1].point = make.pointwise(second, last.channels, filters);
  make_edges(make, name, layer, only, filters, stride2);
  layer.ends.assign(static_cast<size_t>(space_.nodes()) + 2, nullptr);
  for (int node = 0; node < space_.nodes() + 2; ++node) {
    if (only != nullptr && !is_loose(*only, node)) continue;
    const std::string end = name + ".end." + std::to_string(node);
    const auto at = static_cast<size_t>(node);
    layer.ends[at] = make.weight(end + ".weight", {filters, filters}, filters);
    if (stride2 && node < 2) layer.unused[at] = make.reduction(end + ".reduce", filters, filters);
  }
  layer.end_norm = make.norm(name + ".end.norm", filters);
  before = last;
  last = {filters, last.reductions + (stride2 ? 1 : 0)};
}

void MicroChild::make_edges(const LayerMaker& make, const std::string& name, Layer& layer,
                            const MicroCell* only, int64_t filters, bool stride2) {
  layer.edges.resize(static_cast<size_t>(space_.nodes()));
  for (int node = 0; node < space_.nodes(); ++node) {
    for (size_t side = 0; side < 2; ++side) {
      auto& edges = layer.edges[static_cast<size_t>(node)][side];
      edges.resize(static_cast<size_t>(node) + 2);
      for (int input = 0; input < node + 2; ++input) {
        const auto wanted = [&](MicroOp op) {
          if (only == nullptr) return true;
          const MicroCell::Node& n = only->nodes[static_cast<size_t>(node)];
          return (side == 0 ? n.in1 : n.in2) == input && (side == 0 ? n.op1 : n.op2) == op;
        };
        const std::string edge = name + ".node." + std::to_string(node + 2) + "." +
                                 kSides.at(side) + ".from." + std::to_string(input);
        Layer::Edge& made = edges[static_cast<size_t>(input)];
        for (const MicroOp op : {MicroOp::sep3, MicroOp::sep5}) {
          if (!wanted(op)) continue;
          const char* kernel = op == MicroOp::sep3 ? ".sep3" : ".sep5";
          for (const int stack : {0, 1}) {
            made.kernels[static_cast<size_t>(op)].stacks[static_cast<size_t>(stack)] =
                make_stack(make, edge + kernel, stack, op, filters);
          }
        }
        if (stride2 && input < 2 && wanted(MicroOp::identity))
          made.identity = make.reduction(edge + ".identity", filters, filters);
      }
    }
  }
}

Var MicroChild::calibrated(Pass& pass, const Input& input, const Var& x) {
  if (input.reduce) return pass.now(input.reduce.forward(pass, x, true), input.reduce.norm);
  if (input.point) return pass.now(input.point.forward(pass, x, true), input.point.norm);
  return x;
}

Var MicroChild::run_node(Pass& pass, const Layer& layer, int node, const MicroCell::Node& choice,
                         const std::vector<Var>& values, bool stride2) {
  const auto term = [&](size_t side, int input, MicroOp op) {
    const auto from = static_cast<size_t>(input);
    const Layer::Edge& edge = layer.edges[static_cast<size_t>(node)][side][from];
    const bool halves = stride2 && input < 2;
    MicroEdge weights;
    if (op == MicroOp::identity) {
      weights.identity = edge.identity;
    } else if (is_separable(op)) {
      weights = edge.kernels[static_cast<size_t>(op)];
    }
    return run_micro_op(pass, op, weights, values[from], halves ? 2 : 1,
                        options_.tf_same ? Padding::tf_same : Padding::same);
  };
  const std::array<Term, 2> terms = {term(0, choice.in1, choice.op1),
                                     term(1, choice.in2, choice.op2)};
  return sum_of(terms, false).y;
}

Var MicroChild::run_layer(Pass& pass, int index, const MicroCell& cell, Var& before, Var& last) {
  const Layer& layer = layers_[static_cast<size_t>(index)];
  if (layer.before) {
    before = last;
    last = pass.now(layer.before.forward(pass, last, false), layer.before.norm);
  }
  const bool stride2 = skeleton_.reduces(index) && options_.reduce_stride2;
  std::vector<Var> values = {calibrated(pass, layer.inputs[0], before),
                             calibrated(pass, layer.inputs[1], last)};
  for (const MicroCell::Node& node : cell.nodes) {
    const int number = static_cast<int>(values.size()) - 2;
    values.push_back(run_node(pass, layer, number, node, values, stride2));
  }
  PointwiseBn ends;
  ends.norm = layer.end_norm;
  std::vector<Var> sources;
  for (const int node : cell.loose_ends) {
    const auto at = static_cast<size_t>(node);
    ends.blocks.push_back(layer.ends[at]);
    if (stride2 && node < 2) {
      const ReductionBn& by = layer.unused[at];
      sources.push_back(pass.now(by.forward(pass, values[at], false), by.norm));
    } else {
      sources.push_back(values[at]);
    }
  }
  return pass.now(ends.forward(pass, sources, true), ends.norm);
}

Logits MicroChild::forward(Tape& tape, const Architecture& architecture, const Tensor& images,
                           const PassMode& mode) {
  const MicroArch arch = space_.decode(architecture);
  Pass pass(tape, mode);
  Var last = pass.now(stem_.forward(pass, images), stem_.norm), before = last;
  Logits out;
  for (int i = 0; i < skeleton_.layers(); ++i) {
    Var y = run_layer(pass, i, skeleton_.reduces(i) ? arch.reduction : arch.normal, before, last);
    before = std::move(last);
    last = std::move(y);
    if (auxiliary_ && mode.auxiliary && i == skeleton_.auxiliary_layer())
      out.auxiliary = auxiliary_.forward(pass, {&last, 1});
  }
  out.logits = pass.classify(global_avg_pool(last, true), linear_, options_.dropout);
  return out;
}

}  // namespace enas
