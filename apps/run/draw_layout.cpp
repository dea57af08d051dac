// See draw_layout.h: bands of the layers, ports, curves.
#include "apps/run/draw_layout.h"

#include <algorithm>

#include "apps/run/draw_graph.h"

namespace enas {
namespace {

constexpr double kLayerGap = 46;  // between layers
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

}  // namespace

Layout lay_out(const Drawing& drawing, const std::vector<LayoutSize>& sizes) {
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

}  // namespace enas
