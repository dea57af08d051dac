// The layered graph of a drawing: what draw_layout works on.
#pragma once
#include <cstddef>
#include <utility>
#include <vector>

#include "apps/run/draw.h"
#include "apps/run/draw_layout.h"

namespace enas {

struct DrawVertex {
  int layer = 0;
  double size = 0;  // across
  bool dummy = false;
  double place = 0;  // across, of the centre
  std::vector<int> before = {};
  std::vector<int> after = {};
};

struct DrawGraph {
  std::vector<DrawVertex> vertices;
  std::vector<std::vector<int>> chains;  // vertices of each edge, from source to target
  std::vector<std::vector<int>> layers;  // vertices in order
};

// Indices of each edge's nodes. Refuses unknown ends and ids given twice.
std::vector<std::pair<int, int>> edge_ends(const Drawing& drawing);
// Layers, dummies and the order within layers. Errors as to_svg.
DrawGraph build_graph(const Drawing& drawing, const std::vector<LayoutSize>& sizes);
// Gives every vertex its place.
void place_vertices(DrawGraph& graph);
// Index of each vertex within its layer.
std::vector<int> positions(const DrawGraph& graph);

}  // namespace enas
