// to_dot: the graph in the language of Graphviz, for those who want another layout.
#include "apps/run/draw.h"

#include <string_view>

#include "apps/run/draw_layout.h"

namespace enas {
namespace {

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return result + "\"";
}

const char* shape(NodeKind kind) {
  switch (kind) {
    case NodeKind::input:
      return "shape=ellipse";
    case NodeKind::output:
      return "shape=ellipse, style=filled, fillcolor=lightgrey";
    case NodeKind::loose:
      return "shape=box, style=\"rounded,bold\"";
    case NodeKind::node:
      return "shape=box, style=rounded";
  }
  return "";
}

}  // namespace

std::string to_dot(const Drawing& drawing) {
  lay_out(drawing, std::vector<LayoutSize>(drawing.nodes.size()));  // for its checks
  std::string text = "digraph {\n";
  if (!drawing.title.empty()) text += "  label=" + quoted(drawing.title) + ";\n  labelloc=t;\n";
  text += std::string("  rankdir=") + (drawing.top_down ? "TB" : "LR") + ";\n";
  for (const DrawnNode& node : drawing.nodes) {
    const std::string label = node.badge.empty() ? node.label : node.badge + ": " + node.label;
    text += "  " + quoted(node.id) + " [label=" + quoted(label) + ", " + shape(node.kind) + "];\n";
  }
  for (const DrawnEdge& edge : drawing.edges) {
    text += "  " + quoted(edge.from) + " -> " + quoted(edge.to);
    if (!edge.label.empty() || edge.faint) {
      text += " [";
      if (!edge.label.empty()) text += "label=" + quoted(edge.label) + (edge.faint ? ", " : "");
      if (edge.faint) text += "color=grey";
      text += "]";
    }
    text += ";\n";
  }
  return text + "}\n";
}

}  // namespace enas
