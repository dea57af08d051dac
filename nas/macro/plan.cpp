#include "nas/macro/plan.h"

#include <algorithm>

namespace enas {

bool reduces_after(int layer, int layers) {
  const int distance = layers / 3;
  return distance > 0 && (layer == distance - 1 || layer == 2 * distance - 1);
}

std::string tensor_name(int tensor) {
  return tensor == 0 ? "stem" : "layer." + std::to_string(tensor - 1);
}

MacroPlan macro_plan(const MacroArch& arch, bool concat_input) {
  const int n = static_cast<int>(arch.layers.size());
  MacroPlan plan;
  plan.layers.resize(arch.layers.size());
  for (int i = 0; i < n; ++i) {
    const std::vector<bool>& skips = arch.layers[static_cast<size_t>(i)].skips;
    std::vector<int>& sources = plan.layers[static_cast<size_t>(i)].sources;
    if (!concat_input) sources.push_back(i);
    for (size_t k = 0; k < skips.size(); ++k) {
      if (skips[k]) sources.push_back(MacroArch::source(static_cast<int>(k), concat_input) + 1);
    }
    if (sources.empty()) sources.push_back(i);
  }
  plan.last_reader.assign(arch.layers.size() + 1, -1);
  plan.last_reader.back() = n;
  for (int i = n - 1; i >= 0; --i) {
    MacroPlan::Layer& layer = plan.layers[static_cast<size_t>(i)];
    layer.reached = plan.last_reader[static_cast<size_t>(i) + 1] >= 0;
    if (!layer.reached) continue;
    for (const int t : layer.sources) {
      int& last = plan.last_reader[static_cast<size_t>(t)];
      last = std::max(last, i);
    }
  }
  return plan;
}

}  // namespace enas
