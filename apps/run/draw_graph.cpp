// Layers by longest path, dummies, order by barycentres. Long edges of one source share their
// dummies, so that skip connections run as one track.
#include "apps/run/draw_graph.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "tensor/check.h"

namespace enas {
namespace {

constexpr int kOrderSweeps = 24;

// Longest path from the inputs; outputs last; inputs just before their first reader.
std::vector<int> find_layers(const Drawing& drawing, const std::vector<std::pair<int, int>>& ends) {
  const std::size_t count = drawing.nodes.size();
  std::vector<int> layer(count, 0);
  bool changed = true;
  for (std::size_t round = 0; changed; ++round) {
    check(round <= count, "draw", "the graph has a cycle");
    changed = false;
    for (const auto& [from, to] : ends) {
      const auto target = static_cast<std::size_t>(to);
      const int least = layer[static_cast<std::size_t>(from)] + 1;
      if (layer[target] >= least) continue;
      layer[target] = least;
      changed = true;
    }
  }
  const int last = count == 0 ? 0 : *std::max_element(layer.begin(), layer.end());
  for (std::size_t i = 0; i < count; ++i) {
    int first = last + 1;  // of its readers
    for (const auto& [from, to] : ends) {
      if (from == static_cast<int>(i)) first = std::min(first, layer[static_cast<std::size_t>(to)]);
    }
    if (drawing.nodes[i].kind == NodeKind::output && first > last) layer[i] = last;
    if (drawing.nodes[i].kind == NodeKind::input && first <= last) layer[i] = first - 1;
  }
  return layer;
}

void connect(DrawGraph& graph, int from, int to) {
  std::vector<int>& after = graph.vertices[static_cast<std::size_t>(from)].after;
  if (std::find(after.begin(), after.end(), to) != after.end()) return;
  after.push_back(to);
  graph.vertices[static_cast<std::size_t>(to)].before.push_back(from);
}

DrawGraph build(const Drawing& drawing, const std::vector<LayoutSize>& sizes) {
  DrawGraph graph;
  const auto ends = edge_ends(drawing);
  const std::vector<int> layer = find_layers(drawing, ends);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    graph.vertices.push_back({.layer = layer[i], .size = sizes[i].across});
  }
  std::map<std::tuple<int, int, bool>, int> tracks;  // source, layer, faint
  for (std::size_t e = 0; e < ends.size(); ++e) {
    const auto [from, to] = ends[e];
    std::vector<int> chain = {from};
    const int last = graph.vertices[static_cast<std::size_t>(to)].layer;
    for (int l = graph.vertices[static_cast<std::size_t>(from)].layer + 1; l < last; ++l) {
      const int fresh = static_cast<int>(graph.vertices.size());
      const auto found = tracks.emplace(std::make_tuple(from, l, drawing.edges[e].faint), fresh);
      if (found.second) graph.vertices.push_back({.layer = l, .dummy = true});
      chain.push_back(found.first->second);
    }
    chain.push_back(to);
    for (std::size_t i = 1; i < chain.size(); ++i) connect(graph, chain[i - 1], chain[i]);
    graph.chains.push_back(std::move(chain));
  }
  int last = 0;
  for (const DrawVertex& vertex : graph.vertices) last = std::max(last, vertex.layer);
  graph.layers.resize(static_cast<std::size_t>(last) + 1);
  for (std::size_t v = 0; v < graph.vertices.size(); ++v) {
    graph.layers[static_cast<std::size_t>(graph.vertices[v].layer)].push_back(static_cast<int>(v));
  }
  return graph;
}

long crossings(const DrawGraph& graph) {
  const std::vector<int> position = positions(graph);
  long count = 0;
  for (const std::vector<int>& layer : graph.layers) {
    std::vector<std::pair<int, int>> spans;
    for (const int v : layer) {
      for (const int to : graph.vertices[static_cast<std::size_t>(v)].after) {
        spans.emplace_back(position[static_cast<std::size_t>(v)],
                           position[static_cast<std::size_t>(to)]);
      }
    }
    for (std::size_t a = 0; a < spans.size(); ++a) {
      for (std::size_t b = a + 1; b < spans.size(); ++b) {
        const long side = static_cast<long>(spans[a].first - spans[b].first) *
                          (spans[a].second - spans[b].second);
        if (side < 0) ++count;
      }
    }
  }
  return count;
}

// Sorts one layer by the mean position of its neighbours in the layer before (or after).
void sort_layer(DrawGraph& graph, std::size_t layer, bool forward) {
  const std::vector<int> position = positions(graph);
  const auto key = [&](int v) {
    const DrawVertex& vertex = graph.vertices[static_cast<std::size_t>(v)];
    const std::vector<int>& near = forward ? vertex.before : vertex.after;
    if (near.empty()) return static_cast<double>(position[static_cast<std::size_t>(v)]);
    double sum = 0;
    for (const int other : near) sum += position[static_cast<std::size_t>(other)];
    return sum / static_cast<double>(near.size());
  };
  std::vector<std::pair<double, int>> keyed;
  for (const int v : graph.layers[layer]) keyed.emplace_back(key(v), v);
  std::stable_sort(keyed.begin(), keyed.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (std::size_t i = 0; i < keyed.size(); ++i) graph.layers[layer][i] = keyed[i].second;
}

void order(DrawGraph& graph) {
  std::vector<std::vector<int>> best = graph.layers;
  long fewest = crossings(graph);
  for (int sweep = 0; sweep < kOrderSweeps && fewest > 0; ++sweep) {
    const bool forward = sweep % 2 == 0;
    for (std::size_t i = 0; i < graph.layers.size(); ++i) {
      sort_layer(graph, forward ? i : graph.layers.size() - 1 - i, forward);
    }
    const long now = crossings(graph);
    if (now < fewest) {
      fewest = now;
      best = graph.layers;
    }
  }
  graph.layers = best;
}

}  // namespace

std::vector<std::pair<int, int>> edge_ends(const Drawing& drawing) {
  std::map<std::string, int> index;
  for (std::size_t i = 0; i < drawing.nodes.size(); ++i) {
    const bool fresh = index.emplace(drawing.nodes[i].id, static_cast<int>(i)).second;
    check(fresh, "draw", "node id ", drawing.nodes[i].id, " is given twice");
  }
  std::vector<std::pair<int, int>> ends;
  for (const DrawnEdge& edge : drawing.edges) {
    const auto from = index.find(edge.from);
    const auto to = index.find(edge.to);
    check(from != index.end() && to != index.end(), "draw", "edge ", edge.from, " -> ", edge.to,
          " has an end that is no node");
    ends.emplace_back(from->second, to->second);
  }
  return ends;
}

std::vector<int> positions(const DrawGraph& graph) {
  std::vector<int> position(graph.vertices.size());
  for (const std::vector<int>& layer : graph.layers) {
    for (std::size_t i = 0; i < layer.size(); ++i) {
      position[static_cast<std::size_t>(layer[i])] = static_cast<int>(i);
    }
  }
  return position;
}

DrawGraph build_graph(const Drawing& drawing, const std::vector<LayoutSize>& sizes) {
  DrawGraph graph = build(drawing, sizes);
  order(graph);
  return graph;
}

}  // namespace enas
