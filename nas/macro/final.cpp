#include "nas/macro/final.h"

#include "ops/global_avg_pool.h"
#include "ops/sum_of.h"

namespace enas {

MacroFinal::MacroFinal(MacroSpace space, const Architecture& arch, const MacroFinalOptions& options,
                       uint64_t seed, DType dtype, Device device)
    : space_(std::move(space)),
      architecture_(arch),
      arch_(space_.decode(arch)),
      plan_(macro_plan(arch_, space_.concat_input())),
      options_(options),
      dtype_(dtype),
      parameters_(device) {
  check(options.filters >= 2 && options.classes >= 1, ErrorKind::usage, "macro network",
        "needs at least 2 filters and 1 class, got ", options.filters, " and ", options.classes);
  const LayerMaker make(parameters_, seed, dtype, true);
  int64_t filters = options.filters;
  stem_ = make.conv("stem", 3, 3, filters);
  layers_.resize(static_cast<size_t>(space_.layers()));
  for (int i = 0; i < space_.layers(); ++i) {
    make_layer(make, i, filters);
    if (!reduces_after(i, space_.layers())) continue;
    std::vector<ReductionBn>& list = layers_[static_cast<size_t>(i)].reductions;
    list.resize(static_cast<size_t>(i) + 2);
    for (int t = 0; t <= i + 1; ++t) {
      if (!plan_.reduces(t, i)) continue;
      list[static_cast<size_t>(t)] = make.reduction(
          "reduction." + std::to_string(i) + "." + tensor_name(t), filters, 2 * filters);
    }
    filters *= 2;
  }
  linear_ = make.linear("head", filters, options.classes);
}

void MacroFinal::make_layer(const LayerMaker& make, int i, int64_t filters) {
  const auto at = static_cast<size_t>(i);
  if (!plan_.layers[at].reached) return;
  const MacroOp op = arch_.layers[at].op;
  check(!options_.full_conv || !is_pool(op), ErrorKind::usage, "macro network", "layer ", i + 1,
        " is a pooling layer, which final-full-conv refuses; take an architecture without pools, "
        "or leave that switch out");
  const std::string name = "layer." + std::to_string(i);
  Layer& layer = layers_[at];
  const std::vector<int64_t> widths(plan_.layers[at].sources.size(), filters);
  if (space_.concat_input()) layer.inputs = make.pointwise(name + ".input", widths, filters);
  layer.op = make_macro_op(make, name + "." + key_of(op), op, filters, options_.full_conv, 1e-5);
  // The op's input is no skip, but its output is a source: the same number.
  if (!space_.concat_input() && i > 0)
    layer.skips = make.pointwise(name + ".skips", widths, filters);
}

Var MacroFinal::run_layer(Pass& pass, int i, const std::vector<Var>& stored) {
  const auto at = static_cast<size_t>(i);
  const Layer& layer = layers_[at];
  const MacroOp op = arch_.layers[at].op;
  std::vector<Var> sources;
  for (const int t : plan_.layers[at].sources) sources.push_back(stored[static_cast<size_t>(t)]);
  if (space_.concat_input()) {
    const Var x = pass.now(layer.inputs.forward(pass, sources, false), layer.inputs.norm, true);
    return value_of(run_macro_op(pass, layer.op, op, x, false, false));
  }
  const Var y = value_of(run_macro_op(pass, layer.op, op, sources[0], true, false));
  if (i == 0) return y;
  sources.erase(sources.begin());
  sources.push_back(y);
  return pass.now(layer.skips.forward(pass, sources, true), layer.skips.norm);
}

Logits MacroFinal::forward(Tape& tape, const Architecture& arch, const Tensor& images,
                           const PassMode& mode) {
  check(arch == architecture_, ErrorKind::usage, "macro network",
        "was built for another architecture: ", space_.to_string(architecture_));
  Pass pass(tape, mode);
  std::vector<Var> stored = {pass.now(stem_.forward(pass, images), stem_.norm)};
  for (int i = 0; i < space_.layers(); ++i) {
    const auto at = static_cast<size_t>(i);
    stored.push_back(plan_.layers[at].reached ? run_layer(pass, i, stored) : Var());
    for (int t = 0; t <= i + 1; ++t) {
      Var& tensor = stored[static_cast<size_t>(t)];
      if (!plan_.reduces(t, i)) {
        tensor = Var();  // nobody reads it any more
      } else if (!layers_[at].reductions.empty()) {
        const ReductionBn& by = layers_[at].reductions[static_cast<size_t>(t)];
        tensor = pass.now(by.forward(pass, tensor, false), by.norm);
      }
    }
  }
  running_.add(pass.take_collected());
  return {pass.classify(global_avg_pool(stored.back()), linear_, options_.dropout), Var()};
}

}  // namespace enas
