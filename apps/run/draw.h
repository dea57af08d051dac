// Drawings of cells and networks as SVG and DOT, without Graphviz. The same drawing gives the same
// bytes.
#pragma once
#include <string>
#include <vector>

namespace enas {

enum class NodeKind { input, node, loose, output };  // loose: a node that no other reads

struct DrawnNode {
  std::string id = {};
  std::string label = {};  // "tanh"; "h_t" and "h_{t-1}" have subscripts
  NodeKind kind = NodeKind::node;
  std::string badge = {};  // the node's number, shown in a circle
  std::string style = {};  // what the colour stands for (activation or op); empty: neutral
};

struct DrawnEdge {
  std::string from = {};
  std::string to = {};
  std::string label = {};
  bool faint = false;  // grey, behind: a choice of the space that was not taken
};

struct Drawing {
  std::string title = {};
  std::string subtitle = {};
  std::vector<DrawnNode> nodes = {};
  std::vector<DrawnEdge> edges = {};
  bool top_down = true;  // else left to right
  // The nodes, in their order, are a line; edges that pass some run beside it, or, where they are
  // many, stand as squares in a matrix. Their labels are left out.
  bool chain = false;
};

// Error `internal`: an edge with an unknown end, an id given twice, a cycle, or in a chain an edge
// against its order.
std::string to_svg(const Drawing& drawing);
std::string to_dot(const Drawing& drawing);

}  // namespace enas
