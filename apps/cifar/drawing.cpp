// Drawings of both spaces (docs/interface.md "Architecture text").
#include <algorithm>

#include "apps/cifar/space.h"
#include "apps/run/console.h"

namespace enas {
namespace {

// "sep 3x3": short enough for a box.
const char* label_of(MicroOp op) {
  constexpr const char* kLabels[] = {"sep 3x3", "sep 5x5", "avg 3x3", "max 3x3", "identity"};
  return kLabels[static_cast<int>(op)];
}
const char* label_of(MacroOp op) {
  constexpr const char* kLabels[] = {"conv 3x3", "sep 3x3", "conv 5x5",
                                     "sep 5x5",  "avg 3x3", "max 3x3"};
  return kLabels[static_cast<int>(op)];
}

// A text that would be wider than its drawing is cut.
std::string subtitle_of(const std::string& text, size_t most) {
  if (text.size() <= most) return text;
  return text.substr(0, text.rfind(' ', most)) + " ...";
}

// A cell: its two inputs, an operation a side of each node, the node's sum, the loose ends' join.
void draw_cell(Drawing& drawing, const std::string& prefix, const std::string& name,
               const MicroCell& cell) {
  const auto id = [&](int node) { return prefix + std::to_string(node); };
  const auto loose = [&](int node) {
    return std::find(cell.loose_ends.begin(), cell.loose_ends.end(), node) != cell.loose_ends.end();
  };
  drawing.nodes.push_back({id(0), "h_{k-2}", NodeKind::input, "", ""});
  drawing.nodes.push_back({id(1), "h_{k-1}", NodeKind::input, "", ""});
  for (size_t i = 0; i < cell.nodes.size(); ++i) {
    const MicroCell::Node& node = cell.nodes[i];
    const int number = static_cast<int>(i) + 2;
    const std::pair<int, MicroOp> sides[] = {{node.in1, node.op1}, {node.in2, node.op2}};
    for (int side = 0; side < 2; ++side) {
      const std::string label = label_of(sides[side].second),
                        op = id(number) + (side == 0 ? "a" : "b");
      drawing.nodes.push_back({op, label, NodeKind::node, "", label});
      drawing.edges.push_back({id(sides[side].first), op, "", false});
    }
    drawing.nodes.push_back({id(number), "add", loose(number) ? NodeKind::loose : NodeKind::node,
                             std::to_string(number), ""});
    for (const char* side : {"a", "b"})
      drawing.edges.push_back({id(number) + side, id(number), "", false});
  }
  drawing.nodes.push_back({prefix + "out", name, NodeKind::output, "", ""});
  for (const int end : cell.loose_ends)
    drawing.edges.push_back({id(end), prefix + "out", "", false});
}

Drawing draw(const MicroSpace& space, const Architecture& arch) {
  const MicroArch cells = space.decode(arch);
  Drawing drawing;
  drawing.title =
      "Normal cell and reduction cell, " + counted(space.nodes(), "node") + " after the two inputs";
  drawing.subtitle = subtitle_of(space.to_string(arch), 110);
  draw_cell(drawing, "n", "normal cell", cells.normal);
  draw_cell(drawing, "r", "reduction cell", cells.reduction);
  return drawing;
}

Drawing draw(const MacroSpace& space, const Architecture& arch) {
  const MacroArch network = space.decode(arch);
  const auto id = [](int layer) {
    return layer == MacroSpace::kStem ? std::string("stem") : "l" + std::to_string(layer);
  };
  Drawing drawing;
  drawing.chain = true;
  drawing.title = "Network of " + counted(space.layers(), "layer");
  drawing.subtitle = subtitle_of(space.to_string(arch), space.layers() > 12 ? 90 : 50);
  drawing.nodes.push_back({"stem", "stem", NodeKind::input, "", ""});
  for (int i = 0; i < space.layers(); ++i) {
    const MacroArch::Layer& layer = network.layers[static_cast<size_t>(i)];
    const std::string label = label_of(layer.op);
    drawing.nodes.push_back({id(i), label, NodeKind::node, std::to_string(i + 1), label});
    bool chosen = false;
    for (size_t k = 0; k < layer.skips.size(); ++k) {
      if (!layer.skips[k]) continue;
      chosen = true;
      drawing.edges.push_back(
          {id(MacroArch::source(static_cast<int>(k), space.concat_input())), id(i), "", false});
    }
    // The predecessor goes through the operation; under concat-input only where nothing is chosen.
    if (!space.concat_input() || !chosen) drawing.edges.push_back({id(i - 1), id(i), "", false});
  }
  drawing.nodes.push_back({"head", "classes", NodeKind::output, "", ""});
  drawing.edges.push_back({id(space.layers() - 1), "head", "", false});
  return drawing;
}

}  // namespace

Drawing draw_image_arch(const ImageSpace& space, const Architecture& arch) {
  return std::visit([&](const auto& s) { return draw(s, arch); }, space);
}

}  // namespace enas
