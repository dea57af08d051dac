#include "nas/macro/layer.h"

#include <array>

#include "ops/pool2d.h"
#include "ops/sum_of.h"

namespace enas {

const char* key_of(MacroOp op) {
  constexpr std::array kKeys = {"conv3", "sep3", "conv5", "sep5", "avg", "max"};
  return kKeys.at(static_cast<size_t>(op));
}

MacroOpLayer make_macro_op(const LayerMaker& make, const std::string& name, MacroOp op,
                           int64_t filters, bool full, double epsilon) {
  MacroOpLayer layer;
  layer.first = make.pointwise(name + ".first", filters, filters);
  if (is_pool(op)) return layer;
  if (is_separable(op) && !full) {
    layer.separable = make.separable(name + ".second", kernel_of(op), filters, filters, epsilon);
  } else {
    layer.conv = make.conv(name + ".second", kernel_of(op), filters, filters, epsilon);
  }
  return layer;
}

Term run_macro_op(Pass& pass, const MacroOpLayer& layer, MacroOp op, const Var& x, bool relu_first,
                  bool relu_last) {
  const RawConv first = layer.first.forward(pass, x, relu_first);
  const BatchNorm& norm = layer.first.norm;
  const auto deferred = [&](const RawConv& raw, const BatchNorm& second) {
    return Term{Var(), pass.later(raw, second, relu_last), Tensor()};
  };
  if (layer.separable.depthwise != nullptr) {
    const Deferred between = pass.later(first, norm, true);
    return deferred(layer.separable.forward(pass, between), layer.separable.norm);
  }
  const Var between = pass.now(first, norm, true);
  if (op == MacroOp::avg_pool) return {avg_pool2d(between, {3, 1}), std::nullopt, Tensor()};
  if (op == MacroOp::max_pool) return {max_pool2d(between, {3, 1}), std::nullopt, Tensor()};
  return deferred(layer.conv.forward(pass, between), layer.conv.norm);
}

Var value_of(const Term& term) { return term.deferred ? materialize(*term.deferred) : term.x; }

}  // namespace enas
