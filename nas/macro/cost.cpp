#include "nas/macro/cost.h"

#include <algorithm>

#include "nas/macro/plan.h"

namespace enas {
namespace {

void count_op(NetworkCost& cost, MacroOp op, bool full, int64_t filters, int64_t pixels) {
  cost.conv_norm(1, filters, filters, pixels);
  if (is_pool(op)) return;
  if (is_separable(op) && !full) return cost.separable_norm(kernel_of(op), filters, pixels);
  cost.conv_norm(kernel_of(op), filters, filters, pixels);
}

// Of a network of one architecture. doubling: filters double at a reduction.
struct Form {
  int64_t filters, classes, side;
  bool doubling, full;
};

NetworkCost count(const MacroSpace& space, const Architecture& arch, const Form& form) {
  const MacroArch decoded = space.decode(arch);
  const bool concat = space.concat_input();
  const MacroPlan plan = macro_plan(decoded, concat);
  int64_t filters = form.filters, side = form.side, pixels = side * side;
  NetworkCost cost;
  cost.conv_norm(3, 3, filters, pixels);
  for (int i = 0; i < space.layers(); ++i) {
    const MacroPlan::Layer& layer = plan.layers[static_cast<size_t>(i)];
    const auto sources = static_cast<int64_t>(layer.sources.size());
    if (layer.reached) {
      if (concat) cost.conv_norm(1, sources * filters, filters, pixels);
      count_op(cost, decoded.layers[static_cast<size_t>(i)].op, form.full, filters, pixels);
      // The op's input is no skip, but its output is one of the sum: the same number.
      if (!concat && i > 0) {
        if (form.doubling) cost.conv(1, sources * filters, filters, pixels);
        cost.norm(filters);
      }
    }
    if (!reduces_after(i, space.layers())) continue;
    side = half_of(side);
    pixels = side * side;
    const int64_t to = form.doubling ? 2 * filters : filters;
    for (int tensor = concat ? 1 : 0; tensor <= i + 1; ++tensor)
      if (plan.reduces(tensor, i)) cost.reduction_norm(filters, to, pixels);
    filters = to;
  }
  cost.conv(1, filters, form.classes, 1);
  return cost;
}

}  // namespace

int64_t macro_shared_params(const MacroSpace& space, const MacroChildOptions& options) {
  const int64_t filters = options.filters;
  const bool concat = space.concat_input();
  NetworkCost cost;
  cost.conv_norm(3, 3, filters, 0);
  for (int i = 0; i < space.layers(); ++i) {
    if (concat) cost.conv_norm(1, std::max(i, 1) * filters, filters, 0);
    for (int op = 0; op < kMacroOps; ++op)
      count_op(cost, static_cast<MacroOp>(op), false, filters, 0);
    if (!concat && i > 0) cost.norm(filters);
    if (!reduces_after(i, space.layers())) continue;
    for (int tensor = concat ? 1 : 0; tensor <= i + 1; ++tensor)
      cost.reduction_norm(filters, filters, 0);
  }
  cost.conv(1, filters, options.classes, 0);
  return cost.params;
}

NetworkCost macro_child_cost(const MacroSpace& space, const Architecture& arch,
                             const MacroChildOptions& options, int64_t image_size) {
  return count(space, arch, {options.filters, options.classes, image_size, false, false});
}

NetworkCost macro_final_cost(const MacroSpace& space, const Architecture& arch,
                             const MacroFinalOptions& options, int64_t image_size) {
  return count(space, arch,
               {options.filters, options.classes, image_size, true, options.full_conv});
}

}  // namespace enas
