#include "nas/micro/final.h"

#include "ops/global_avg_pool.h"
#include "ops/structure.h"
#include "ops/sum_of.h"

namespace enas {
namespace {

int64_t width_of(const std::vector<int64_t>& widths) {
  int64_t sum = 0;
  for (const int64_t width : widths) sum += width;
  return sum;
}

// The concatenation itself, for the rare reader that takes a list uncalibrated.
Var joined(std::span<const Var> list) {
  if (list.size() == 1) return list[0];
  Shape shape = list[0].shape();
  const auto rows = [](const Var& x) { return reshape(x, {x.shape().rows(), x.size(-1)}); };
  Var y = rows(list[0]);
  for (const Var& x : list.subspan(1)) y = concat_columns(y, rows(x));
  shape.set(-1, y.size(1));
  return reshape(y, shape);
}

}  // namespace

MicroFinal::MicroFinal(MicroSpace space, const Architecture& arch, const MicroFinalOptions& options,
                       uint64_t seed, DType dtype, Device device)
    : space_(std::move(space)),
      architecture_(arch),
      arch_(space_.decode(arch)),
      options_(options),
      skeleton_{options.normal_cells},
      dtype_(dtype),
      parameters_(device) {
  check(options.filters >= 2 && options.classes >= 1 && options.normal_cells >= 0, ErrorKind::usage,
        "micro network", "needs at least 2 filters and 1 class, got ", options.filters, " and ",
        options.classes);
  const LayerMaker make(parameters_, seed, dtype, true);
  int64_t filters = options.filters;
  stem_ = make.conv("stem", 3, 3, 3 * filters);
  Map before{{3 * filters}, 0}, last = before;
  layers_.resize(static_cast<size_t>(skeleton_.layers()));
  for (int i = 0; i < skeleton_.layers(); ++i) {
    if (skeleton_.reduces(i)) filters *= 2;
    make_layer(make, i, before, last, filters);
    if (options.auxiliary && i == skeleton_.auxiliary_layer()) {
      auxiliary_ = AuxiliaryHead(make, last.widths, reduced_twice(options.image_size),
                                 options.classes, options.frozen_auxiliary);
    }
  }
  check(!options.auxiliary || auxiliary_, ErrorKind::usage, "micro network",
        "has no cell behind the second reduction for an auxiliary head; use 1 normal cell or more");
  linear_ = make.linear("head", width_of(last.widths), options.classes);
}

std::vector<Parameter*> MicroFinal::trainable() {
  std::vector<Parameter*> list;
  for (Parameter& p : parameters_) {
    if (!options_.frozen_auxiliary || !AuxiliaryHead::owns(p)) list.push_back(&p);
  }
  return list;
}

// before, last: the two outputs the cell reads; on return those that the next one reads.
void MicroFinal::make_layer(const LayerMaker& make, int index, Map& before, Map& last,
                            int64_t filters) {
  Layer& layer = layers_[static_cast<size_t>(index)];
  const MicroCell& nodes = cell(index);
  const std::string name = "layer." + std::to_string(index);
  const bool reduction = skeleton_.reduces(index);
  make_inputs(make, name, layer, before, last, filters);
  for (size_t i = 0; i < nodes.nodes.size(); ++i) {
    const MicroCell::Node& n = nodes.nodes[i];
    const std::string node = name + ".node." + std::to_string(i + 2);
    layer.edges.push_back({make_edge(make, node + ".x", n.in1, n.op1, filters, reduction),
                           make_edge(make, node + ".y", n.in2, n.op2, filters, reduction)});
  }
  for (const int node : nodes.loose_ends) {
    if (!reduction || node > 1) continue;
    layer.unused[static_cast<size_t>(node)] =
        make.reduction(name + ".unused." + std::to_string(node), filters, filters);
  }
  before = std::move(last);
  last = {std::vector<int64_t>(nodes.loose_ends.size(), filters),
          before.reductions + (reduction ? 1 : 0)};
}

void MicroFinal::make_inputs(const LayerMaker& make, const std::string& name, Layer& layer,
                             const Map& before, const Map& last, int64_t filters) {
  if (before.reductions != last.reductions) {
    layer.reduce = make.reduction(name + ".input.0", before.widths, filters);
  } else if (width_of(before.widths) != filters) {
    layer.point = make.pointwise(name + ".input.0", before.widths, filters);
  }
  if (width_of(last.widths) != filters) {
    layer.second = make.pointwise(name + ".input.1", last.widths, filters);
    layer.base = make.pointwise(name + ".base", filters, filters);
  } else {
    layer.base = make.pointwise(name + ".base", last.widths, filters);
  }
}

MicroEdge MicroFinal::make_edge(const LayerMaker& make, const std::string& name, int input,
                                MicroOp op, int64_t filters, bool reduction) {
  MicroEdge edge;
  if (is_separable(op)) {
    for (const int stack : {0, 1})
      edge.stacks[static_cast<size_t>(stack)] = make_stack(make, name, stack, op, filters);
  } else if (op == MicroOp::identity && reduction && input < 2) {
    edge.identity = make.reduction(name, filters, filters);
  }
  return edge;
}

double MicroFinal::drop_path_keep(int layer, double progress) const {
  return 1 - progress * (layer + 1) / skeleton_.layers() * (1 - options_.drop_path_keep);
}

Var MicroFinal::run_node(Pass& pass, int index, int node, const std::vector<Var>& values) {
  const Layer& layer = layers_[static_cast<size_t>(index)];
  const MicroCell::Node& choice = cell(index).nodes[static_cast<size_t>(node)];
  const double keep = drop_path_keep(index, pass.mode().progress);
  const auto term = [&](int side, int input, MicroOp op) {
    const Var& x = values[static_cast<size_t>(input)];
    Term made =
        run_micro_op(pass, op, layer.edges[static_cast<size_t>(node)][static_cast<size_t>(side)], x,
                     skeleton_.reduces(index) && input < 2 ? 2 : 1,
                     options_.tf_same ? Padding::tf_same : Padding::same);
    if (op != MicroOp::identity) {
      const int64_t edge = (int64_t{index} * space_.nodes() + node) * 2 + side;
      made.keep = pass.drop_path(edge, keep, x.size(0), x.dtype(), x.value().device());
    }
    return made;
  };
  const std::array<Term, 2> terms = {term(0, choice.in1, choice.op1),
                                     term(1, choice.in2, choice.op2)};
  return sum_of(terms, false).y;
}

MicroFinal::Values MicroFinal::run_layer(Pass& pass, int index, const Values& before,
                                         const Values& last) {
  const Layer& layer = layers_[static_cast<size_t>(index)];
  const auto through = [&](const PointwiseBn& by, std::span<const Var> x) {
    return pass.now(by.forward(pass, x, true), by.norm);
  };
  Var first, second;
  if (layer.reduce) {
    first = pass.now(layer.reduce.forward(pass, before, true), layer.reduce.norm);
  } else {
    first = layer.point ? through(layer.point, before) : joined(before);
  }
  if (layer.second) {
    second = through(layer.second, last);
    second = through(layer.base, {&second, 1});
  } else {
    second = through(layer.base, last);
  }
  std::vector<Var> values = {std::move(first), std::move(second)};
  for (int node = 0; node < space_.nodes(); ++node)
    values.push_back(run_node(pass, index, node, values));
  Values ends;
  for (const int node : cell(index).loose_ends) {
    const auto at = static_cast<size_t>(node);
    const ReductionBn* by = node < 2 ? &layer.unused[at] : nullptr;
    ends.push_back(by != nullptr && *by ? pass.now(by->forward(pass, values[at], false), by->norm)
                                        : values[at]);
  }
  return ends;
}

Logits MicroFinal::forward(Tape& tape, const Architecture& arch, const Tensor& images,
                           const PassMode& mode) {
  check(arch == architecture_, ErrorKind::usage, "micro network",
        "was built for another architecture: ", space_.to_string(architecture_));
  Pass pass(tape, mode);
  Values last = {pass.now(stem_.forward(pass, images), stem_.norm)}, before = last;
  Logits out;
  for (int i = 0; i < skeleton_.layers(); ++i) {
    Values y = run_layer(pass, i, before, last);
    before = std::move(last);
    last = std::move(y);
    if (auxiliary_ && mode.auxiliary && i == skeleton_.auxiliary_layer())
      out.auxiliary = auxiliary_.forward(pass, last);
  }
  running_.add(pass.take_collected());
  Var features = global_avg_pool(last[0], true);
  for (size_t i = 1; i < last.size(); ++i)
    features = concat_columns(features, global_avg_pool(last[i], true));
  out.logits = pass.classify(features, linear_, options_.dropout);
  return out;
}

}  // namespace enas
