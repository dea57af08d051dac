// See draw_layout.h: bands of the layers, ports, curves.
#include "apps/run/draw_layout.h"

#include <algorithm>

#include "apps/run/draw_graph.h"

namespace enas {
namespace {

constexpr double kLayerGap = 46;  // between layers
constexpr double kPartGap = 56;   // between parts that no edge connects
constexpr double kWidest = 1400;  // of parts side by side
constexpr double kPortGap = 16;   // between ends of edges at one side of a box

struct Band {
  double begin = 0, end = 0;  // along
  double center() const { return (begin + end) / 2; }
};

std::vector<Band> find_bands(const DrawGraph& graph, const std::vector<LayoutSize>& sizes) {
  std::vector<Band> bands;
  double at = 0;
  for (const std::vector<int>& layer : graph.layers) {
    double thickness = 0;
    for (const int v : layer) {
      const auto i = static_cast<std::size_t>(v);
      if (!graph.vertices[i].dummy) thickness = std::max(thickness, sizes[i].along);
    }
    bands.push_back({at, at + thickness});
    at += thickness + kLayerGap;
  }
  return bands;
}

// Where an edge meets its vertex: ends at one side of a box are spread in the order of the other
// ends.
double port(const DrawGraph& graph, int v, int other, bool leaving) {
  const DrawVertex& vertex = graph.vertices[static_cast<std::size_t>(v)];
  if (vertex.dummy) return vertex.place;
  std::vector<int> near = leaving ? vertex.after : vertex.before;
  std::stable_sort(near.begin(), near.end(), [&](int a, int b) {
    return graph.vertices[static_cast<std::size_t>(a)].place <
           graph.vertices[static_cast<std::size_t>(b)].place;
  });
  const double count = static_cast<double>(near.size());
  const double rank =
      static_cast<double>(std::find(near.begin(), near.end(), other) - near.begin());
  const double gap = std::min(kPortGap, 0.7 * vertex.size / count);
  return vertex.place + (rank - (count - 1) / 2) * gap;
}

LayoutCurve route(const DrawGraph& graph, const std::vector<int>& chain,
                  const std::vector<Band>& bands, const std::vector<LayoutSize>& sizes) {
  LayoutCurve curve;
  LayoutPoint at;
  const auto straight = [&](double along) {
    if (along == at.along) return;
    const LayoutPoint end = {at.across, along};
    curve.points.insert(curve.points.end(), {at, end, end});
    at = end;
  };
  for (std::size_t i = 0; i + 1 < chain.size(); ++i) {
    const auto from = static_cast<std::size_t>(chain[i]);
    const auto to = static_cast<std::size_t>(chain[i + 1]);
    const Band& band = bands[static_cast<std::size_t>(graph.vertices[from].layer)];
    const Band& next = bands[static_cast<std::size_t>(graph.vertices[to].layer)];
    if (i == 0) {
      at = {port(graph, chain[i], chain[i + 1], true), band.center() + sizes[from].along / 2};
      curve.start = at;
    }
    straight(band.end);
    const LayoutPoint end = {port(graph, chain[i + 1], chain[i], false), next.begin};
    const double bend = 0.55 * (end.along - at.along);
    curve.points.insert(curve.points.end(),
                        {{at.across, at.along + bend}, {end.across, end.along - bend}, end});
    at = end;
    straight(i + 2 == chain.size() ? next.center() - sizes[to].along / 2 : next.end);
  }
  return curve;
}

Layout lay_out_connected(const Drawing& drawing, const std::vector<LayoutSize>& sizes) {
  DrawGraph graph = build_graph(drawing, sizes);
  place_vertices(graph);
  double low = 1e300;
  double high = -1e300;
  for (const DrawVertex& vertex : graph.vertices) {
    low = std::min(low, vertex.place - vertex.size / 2);
    high = std::max(high, vertex.place + vertex.size / 2);
  }
  if (graph.vertices.empty()) low = high = 0;
  for (DrawVertex& vertex : graph.vertices) vertex.place -= low;
  const std::vector<Band> bands = find_bands(graph, sizes);
  Layout layout;
  layout.size = {high - low, bands.back().end};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const DrawVertex& vertex = graph.vertices[i];
    layout.centers.push_back(
        {vertex.place, bands[static_cast<std::size_t>(vertex.layer)].center()});
  }
  for (const std::vector<int>& chain : graph.chains) {
    layout.curves.push_back(route(graph, chain, bands, sizes));
  }
  return layout;
}

// The connected parts of a drawing: for each node the number of its part, in order of first nodes.
std::vector<std::size_t> parts_of(std::size_t nodes, const std::vector<std::pair<int, int>>& ends) {
  std::vector<std::size_t> part(nodes);
  for (std::size_t i = 0; i < nodes; ++i) part[i] = i;
  for (bool changed = true; changed;) {
    changed = false;
    for (const auto& [from, to] : ends) {
      std::size_t &a = part[static_cast<std::size_t>(from)],
                  &b = part[static_cast<std::size_t>(to)];
      changed = changed || a != b;
      a = b = std::min(a, b);
    }
  }
  std::vector<std::size_t> firsts = part;
  std::sort(firsts.begin(), firsts.end());
  firsts.erase(std::unique(firsts.begin(), firsts.end()), firsts.end());
  for (std::size_t& p : part) {
    p = static_cast<std::size_t>(std::lower_bound(firsts.begin(), firsts.end(), p) -
                                 firsts.begin());
  }
  return part;
}

// One part with the places of its nodes and edges in the whole.
struct Part {
  Drawing drawing;
  std::vector<LayoutSize> sizes;
  std::vector<std::size_t> nodes, edges;
  Layout layout;
};

// Side by side, in rows up to kWidest, the rows centred.
LayoutSize pack(std::vector<Part>& parts) {
  std::vector<std::vector<Part*>> rows;
  double used = 0, across = 0, along = 0;
  for (Part& part : parts) {
    if (rows.empty() || used + part.layout.size.across > kWidest) {
      rows.emplace_back();
      used = 0;
    }
    rows.back().push_back(&part);
    used += part.layout.size.across + kPartGap;
    across = std::max(across, used - kPartGap);
  }
  for (const std::vector<Part*>& row : rows) {
    double width = -kPartGap, height = 0;
    for (const Part* part : row) {
      width += part->layout.size.across + kPartGap;
      height = std::max(height, part->layout.size.along);
    }
    double at = (across - width) / 2;
    for (Part* part : row) {
      const auto move = [&](LayoutPoint& p) { p.across += at, p.along += along; };
      for (LayoutPoint& center : part->layout.centers) move(center);
      for (LayoutCurve& curve : part->layout.curves) {
        move(curve.start);
        for (LayoutPoint& p : curve.points) move(p);
      }
      at += part->layout.size.across + kPartGap;
    }
    along += height + kPartGap;
  }
  return {across, std::max(0.0, along - kPartGap)};
}

}  // namespace

Layout lay_out(const Drawing& drawing, const std::vector<LayoutSize>& sizes) {
  const std::vector<std::pair<int, int>> ends = edge_ends(drawing);
  const std::vector<std::size_t> part = parts_of(sizes.size(), ends);
  std::vector<Part> parts(part.empty() ? 0 : *std::max_element(part.begin(), part.end()) + 1);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    parts[part[i]].drawing.nodes.push_back(drawing.nodes[i]);
    parts[part[i]].sizes.push_back(sizes[i]);
    parts[part[i]].nodes.push_back(i);
  }
  for (std::size_t e = 0; e < ends.size(); ++e) {
    Part& own = parts[part[static_cast<std::size_t>(ends[e].first)]];
    own.drawing.edges.push_back(drawing.edges[e]);
    own.edges.push_back(e);
  }
  for (Part& p : parts) p.layout = lay_out_connected(p.drawing, p.sizes);
  Layout layout;
  layout.size = pack(parts);
  layout.centers.resize(sizes.size());
  layout.curves.resize(ends.size());
  for (Part& p : parts) {
    for (std::size_t i = 0; i < p.nodes.size(); ++i)
      layout.centers[p.nodes[i]] = p.layout.centers[i];
    for (std::size_t e = 0; e < p.edges.size(); ++e) {
      layout.curves[p.edges[e]] = std::move(p.layout.curves[e]);
    }
  }
  return layout;
}

}  // namespace enas
