// The networks of both spaces by tests/nas/naive_images.h.
#pragma once
#include "tests/nas/naive_images.h"

namespace enas::test {

inline std::string stored_name(size_t tensor) {
  return tensor == 0 ? "stem" : "layer." + std::to_string(tensor - 1);
}
inline bool macro_reduces(size_t layer, size_t layers) {
  const size_t distance = layers / 3;
  return distance > 0 && (layer + 1 == distance || layer + 1 == 2 * distance);
}
inline const char* macro_key(int op) {
  constexpr const char* kKeys[] = {"conv3", "sep3", "conv5", "sep5", "avg", "max"};
  return kKeys[op];
}

// A macro layer's own chain. final: ReLU first, none last.
inline Map naive_macro_op(const Naive& net, const std::string& name, int op, const Map& input,
                          bool final, bool full) {
  const double epsilon = final ? 1e-5 : 1e-3;
  const Map x = Naive::relu(net.pointwise({final ? Naive::relu(input) : input}, name + ".first"));
  if (op == 4) return Naive::average(x, {3});
  if (op == 5) return Naive::maximum(x, {3});
  const Grid grid{op < 2 ? 3 : 5};
  const std::string second = name + ".second";
  const Map y = op % 2 == 1 && !full
                    ? net.separable(x, second, grid, epsilon)
                    : net.norm(net.conv(x, second + ".weight", grid), second + ".norm", epsilon);
  return final ? y : Naive::relu(y);
}

struct NaiveMacro {
  const ParameterStore& store;
  bool concat = false, final = false, full = false, running = false;
  int64_t* macs = nullptr;

  std::vector<double> logits(const MacroArch& arch, const Tensor& images) const {
    const Naive net(store, running, macs);
    std::vector<Map> stored = {net.norm(net.conv(Map(images), "stem.weight", {3}), "stem.norm")};
    for (size_t i = 0; i < arch.layers.size(); ++i) {
      const int op = static_cast<int>(arch.layers[i].op);
      const std::vector<bool>& skips = arch.layers[i].skips;
      const std::string name = "layer." + std::to_string(i), key = name + "." + macro_key(op);
      if (!net.has(key + ".first.weight")) {  // built without, for nobody reads it
        stored.push_back(stored.back());
      } else if (concat) {
        stored.push_back(
            naive_macro_op(net, key, op, input(net, name, i, skips, stored), final, full));
      } else {
        Map y = naive_macro_op(net, key, op, stored.back(), final, full);
        std::vector<Map> sources;
        for (size_t k = 0; k < skips.size(); ++k)
          if (skips[k]) sources.push_back(stored[k]);
        stored.push_back(i == 0 ? y : joined(net, name, sources, y));
      }
      if (!macro_reduces(i, arch.layers.size())) continue;
      for (size_t t = 0; t < stored.size(); ++t) {
        const std::string by = "reduction." + std::to_string(i) + "." + stored_name(t);
        if (net.has(by + ".even")) stored[t] = net.reduction({stored[t]}, by);
      }
    }
    return net.head(stored.back(), "head");
  }

  // Skips: summed and normalised in search; concatenated before a 1x1 in the final network.
  Map joined(const Naive& net, const std::string& name, std::vector<Map> sources,
             const Map& y) const {
    if (final) {
      sources.push_back(y);
      for (Map& m : sources) m = Naive::relu(m);
      return net.pointwise(sources, name + ".skips");
    }
    Map sum = y;
    for (const Map& m : sources) sum = Naive::add(sum, m);
    return net.norm(sum, name + ".skips.norm");
  }

  // concat-input: the chosen earlier layers, else the predecessor, through a block each.
  Map input(const Naive& net, const std::string& name, size_t i, const std::vector<bool>& skips,
            const std::vector<Map>& stored) const {
    std::vector<size_t> chosen;
    for (size_t k = 0; k < skips.size(); ++k)
      if (skips[k]) chosen.push_back(k + 1);
    if (chosen.empty()) chosen.push_back(i);
    std::vector<Map> sources;
    for (const size_t t : chosen) sources.push_back(stored[t]);
    if (final) return Naive::relu(net.pointwise(sources, name + ".input"));
    Map sum;
    for (const size_t t : chosen) {
      const Map part = net.conv(stored[t], name + ".input." + stored_name(t) + ".weight", {1});
      sum = sum.n == 0 ? part : Naive::add(sum, part);
    }
    return Naive::relu(net.norm(sum, name + ".input.norm"));
  }
};

struct NaiveMicro {
  const ParameterStore& store;
  int normal_cells = 1;
  bool final = false, stride2 = false, tf_same = false, running = false;
  int64_t* macs = nullptr;

  // Logits; behind them, where the network has an auxiliary head and it is wanted, its.
  std::vector<double> logits(const MicroArch& arch, const Tensor& images,
                             bool auxiliary = false) const {
    const Naive net(store, running, macs);
    std::vector<Map> last = {net.norm(net.conv(Map(images), "stem.weight", {3}), "stem.norm")};
    std::vector<Map> before = last;
    const int first = normal_cells / 3, second = 2 * (normal_cells / 3) + 1;
    std::vector<double> more;
    for (int i = 0; i < normal_cells + 2; ++i) {
      const bool reduction = i == first || i == second;
      const std::string name = "layer." + std::to_string(i);
      if (reduction && !final && !stride2) {
        before = last;
        last = {net.reduction(last, name + ".before")};
      }
      std::vector<Map> y = cell(net, name, reduction ? arch.reduction : arch.normal,
                                reduction && (final || stride2), before, last);
      before = last;
      last = y;
      if (auxiliary && i == second + 1) more = auxiliary_logits(net, last);
    }
    std::vector<double> out = net.head(Naive::relu(Naive::concat(last)), "head");
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }

  std::vector<double> auxiliary_logits(const Naive& net, const std::vector<Map>& last) const {
    std::vector<Map> pooled;
    for (const Map& m : last) pooled.push_back(Naive::average(Naive::relu(m), {5, 3, false, true}));
    const Map x = Naive::relu(net.pointwise(pooled, "auxiliary.first"));
    const Map y = Naive::relu(net.norm(
        net.conv(x, "auxiliary.second.weight", {x.h, 1, false, true}), "auxiliary.second.norm"));
    return net.head(y, "auxiliary.head");
  }

  static std::vector<Map> relus(std::vector<Map> list) {
    for (Map& m : list) m = Naive::relu(m);
    return list;
  }

  std::vector<Map> cell(const Naive& net, const std::string& name, const MicroCell& cell,
                        bool halves, const std::vector<Map>& before,
                        const std::vector<Map>& last) const {
    const auto calibrated = [&](const std::string& by, const std::vector<Map>& list) {
      if (net.has(by + ".norm.scale")) {
        return net.has(by + ".weight") || net.has(by + ".weight.0")
                   ? net.pointwise(relus(list), by)
                   : net.reduction(relus(list), by);
      }
      return Naive::concat(list);
    };
    std::vector<Map> values = {calibrated(name + ".input.0", before)};
    if (!final) {
      values.push_back(calibrated(name + ".input.1", last));
    } else if (net.has(name + ".input.1.norm.scale")) {
      values.push_back(
          net.pointwise({Naive::relu(calibrated(name + ".input.1", last))}, name + ".base"));
    } else {
      values.push_back(net.pointwise(relus(last), name + ".base"));
    }
    for (const MicroCell::Node& n : cell.nodes) {
      const std::string node = name + ".node." + std::to_string(values.size());
      const Map x = edge(net, node + ".x", n.in1, static_cast<int>(n.op1), values, halves),
                y = edge(net, node + ".y", n.in2, static_cast<int>(n.op2), values, halves);
      values.push_back(Naive::add(x, y));
    }
    std::vector<Map> ends;
    for (const int end : cell.loose_ends) {
      const std::string by = final ? name + ".unused." + std::to_string(end)
                                   : name + ".end." + std::to_string(end) + ".reduce";
      const Map& value = values[static_cast<size_t>(end)];
      ends.push_back(halves && end < 2 ? net.reduction({value}, by) : value);
    }
    if (final) return ends;
    Map sum;
    for (size_t i = 0; i < ends.size(); ++i) {
      const Map part =
          net.conv(Naive::relu(ends[i]),
                   name + ".end." + std::to_string(cell.loose_ends[i]) + ".weight", {1});
      sum = i == 0 ? part : Naive::add(sum, part);
    }
    return {net.norm(sum, name + ".end.norm")};
  }

  Map edge(const Naive& net, std::string name, int input, int op, const std::vector<Map>& values,
           bool halves) const {
    const Map& x = values[static_cast<size_t>(input)];
    const int64_t stride = halves && input < 2 ? 2 : 1;
    if (op == 2) return Naive::average(x, {3, stride, tf_same});
    if (op == 3) return Naive::maximum(x, {3, stride, tf_same});
    if (!final) name += ".from." + std::to_string(input);
    if (op == 4) return stride == 1 ? x : net.reduction({x}, name + (final ? "" : ".identity"));
    if (!final) name += op == 0 ? ".sep3" : ".sep5";
    const int64_t kernel = op == 0 ? 3 : 5;
    const Map y = net.separable(x, name + ".0", {kernel, stride, tf_same});
    return net.separable(y, name + ".1", {kernel});
  }
};

}  // namespace enas::test
