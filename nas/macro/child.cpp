#include "nas/macro/child.h"

#include <algorithm>

#include "ops/global_avg_pool.h"
#include "ops/sum_of.h"

namespace enas {
namespace {

// Of the second batch norm of a convolution branch (docs/method.md section 2.1).
constexpr double kBranchEpsilon = 1e-3;

bool reads(const MacroPlan::Layer& layer, int tensor) {
  return std::find(layer.sources.begin(), layer.sources.end(), tensor) != layer.sources.end();
}

}  // namespace

MacroChild::MacroChild(MacroSpace space, const MacroChildOptions& options, uint64_t seed,
                       DType dtype, const Architecture* only, Device device)
    : space_(std::move(space)), options_(options), dtype_(dtype), parameters_(device) {
  check(options.filters >= 2 && options.classes >= 1, ErrorKind::usage, "macro child",
        "needs at least 2 filters and 1 class, got ", options.filters, " and ", options.classes);
  const LayerMaker make(parameters_, seed, dtype, options.running_bn);
  MacroArch arch;
  MacroPlan plan;
  if (only != nullptr) {
    arch = space_.decode(*only);
    plan = macro_plan(arch, space_.concat_input());
  }
  stem_ = make.conv("stem", 3, 3, options.filters);
  layers_.resize(static_cast<size_t>(space_.layers()));
  reductions_.resize(layers_.size());
  for (int i = 0; i < space_.layers(); ++i) {
    make_layer(make, i, only != nullptr ? &arch : nullptr, plan);
    if (reduces_after(i, space_.layers()))
      make_reductions(make, i, only != nullptr ? &plan : nullptr);
  }
  linear_ = make.linear("head", options.filters, options.classes);
}

// arch: nullptr for all weights; plan is its plan.
void MacroChild::make_layer(const LayerMaker& make, int i, const MacroArch* arch,
                            const MacroPlan& plan) {
  const auto at = static_cast<size_t>(i);
  if (arch != nullptr && !plan.layers[at].reached) return;
  Layer& layer = layers_[at];
  const int64_t filters = options_.filters;
  const std::string name = "layer." + std::to_string(i);
  if (space_.concat_input()) {
    const int first = i == 0 ? 0 : 1;  // the stem is the first layer's only source
    layer.inputs.blocks.assign(at + 1, nullptr);
    for (int tensor = first; tensor <= i; ++tensor) {
      if (arch != nullptr && !reads(plan.layers[at], tensor)) continue;
      layer.inputs.blocks[static_cast<size_t>(tensor)] = make.weight(
          name + ".input." + tensor_name(tensor) + ".weight", {filters, filters}, filters);
    }
    layer.inputs.norm = make.norm(name + ".input.norm", filters);
  }
  for (int id = 0; id < kMacroOps; ++id) {
    const auto op = static_cast<MacroOp>(id);
    if (arch != nullptr && arch->layers[at].op != op) continue;
    layer.ops[static_cast<size_t>(op)] =
        make_macro_op(make, name + "." + key_of(op), op, filters, false, kBranchEpsilon);
  }
  if (!space_.concat_input() && i > 0) layer.skips = make.norm(name + ".skips.norm", filters);
}

// Of every tensor stored by then, but under concat_input not of the stem.
void MacroChild::make_reductions(const LayerMaker& make, int after, const MacroPlan* plan) {
  std::vector<ReductionBn>& list = reductions_[static_cast<size_t>(after)];
  list.resize(static_cast<size_t>(after) + 2);
  for (int tensor = space_.concat_input() ? 1 : 0; tensor <= after + 1; ++tensor) {
    if (plan != nullptr && !plan->reduces(tensor, after)) continue;
    list[static_cast<size_t>(tensor)] =
        make.reduction("reduction." + std::to_string(after) + "." + tensor_name(tensor),
                       options_.filters, options_.filters);
  }
}

Var MacroChild::run_input(Pass& pass, const Layer& layer, const MacroPlan::Layer& plan,
                          const std::vector<Var>& stored) {
  PointwiseBn chosen;
  chosen.norm = layer.inputs.norm;
  std::vector<Var> sources;
  for (const int t : plan.sources) {
    sources.push_back(stored[static_cast<size_t>(t)]);
    chosen.blocks.push_back(
        layer.inputs.blocks.empty() ? nullptr : layer.inputs.blocks[static_cast<size_t>(t)]);
  }
  return pass.now(chosen.forward(pass, sources, false), chosen.norm, true);
}

Var MacroChild::run_layer(Pass& pass, int i, const MacroArch& arch, const MacroPlan& plan,
                          const std::vector<Var>& stored) {
  const auto at = static_cast<size_t>(i);
  const Layer& layer = layers_[at];
  const MacroOp op = arch.layers[at].op;
  const MacroOpLayer& weights = layer.ops[static_cast<size_t>(op)];
  if (space_.concat_input()) {
    const Var x = run_input(pass, layer, plan.layers[at], stored);
    return value_of(run_macro_op(pass, weights, op, x, false, true));
  }
  std::vector<Term> terms = {run_macro_op(pass, weights, op, stored[at], false, true)};
  if (i == 0) return value_of(terms[0]);
  const std::vector<int>& sources = plan.layers[at].sources;
  for (size_t k = 1; k < sources.size(); ++k)
    terms.push_back({stored[static_cast<size_t>(sources[k])], std::nullopt, Tensor()});
  if (terms.size() == 1 && !terms[0].deferred) return pass.now(terms[0].x, layer.skips);
  return pass.now(sum_of(terms, pass.stats()), layer.skips);
}

Logits MacroChild::forward(Tape& tape, const Architecture& architecture, const Tensor& images,
                           const PassMode& mode) {
  const MacroArch arch = space_.decode(architecture);
  const MacroPlan plan = macro_plan(arch, space_.concat_input());
  Pass pass(tape, mode);
  std::vector<Var> stored = {pass.now(stem_.forward(pass, images), stem_.norm)};
  for (int i = 0; i < space_.layers(); ++i) {
    stored.push_back(plan.layers[static_cast<size_t>(i)].reached
                         ? run_layer(pass, i, arch, plan, stored)
                         : Var());
    for (int t = 0; t <= i + 1; ++t) {
      Var& tensor = stored[static_cast<size_t>(t)];
      if (!plan.reduces(t, i)) {
        tensor = Var();  // nobody reads it any more
      } else if (reduces_after(i, space_.layers())) {
        const ReductionBn& by = reductions_[static_cast<size_t>(i)][static_cast<size_t>(t)];
        tensor = pass.now(by.forward(pass, tensor, false), by.norm);
      }
    }
  }
  running_.add(pass.take_collected());
  return {pass.classify(global_avg_pool(stored.back()), linear_, options_.dropout), Var()};
}

}  // namespace enas
