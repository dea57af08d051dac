// Places within the layers: isotonic least squares towards the neighbours' places, then straight
// runs where there is room.
#include <algorithm>

#include "apps/run/draw_graph.h"

namespace enas {
namespace {

constexpr double kBoxGap = 30;    // between neighbours in a layer
constexpr double kTrackGap = 16;  // beside a dummy
constexpr int kPlaceSweeps = 80;
constexpr double kTrackWeight = 4;  // straight tracks matter more than centred boxes
constexpr double kFar = 1e300;

double separation(const DrawVertex& a, const DrawVertex& b) {
  return (a.size + b.size) / 2 + (a.dummy || b.dummy ? kTrackGap : kBoxGap);
}

// Least squares of (place - wanted) under the separations: pool adjacent violators.
void place_layer(DrawGraph& graph, const std::vector<int>& layer) {
  struct Pool {
    double sum, weight;
    std::size_t count;
  };
  std::vector<double> shift(layer.size(), 0);  // where each would be if all touched
  std::vector<Pool> pools;
  for (std::size_t i = 0; i < layer.size(); ++i) {
    const DrawVertex& vertex = graph.vertices[static_cast<std::size_t>(layer[i])];
    if (i > 0) {
      shift[i] =
          shift[i - 1] + separation(graph.vertices[static_cast<std::size_t>(layer[i - 1])], vertex);
    }
    double sum = 0;
    double weight = 0;
    const auto pull = [&](int other) {
      const DrawVertex& near = graph.vertices[static_cast<std::size_t>(other)];
      const double w = vertex.dummy && near.dummy ? kTrackWeight : 1;
      sum += w * near.place;
      weight += w;
    };
    for (const int other : vertex.before) pull(other);
    for (const int other : vertex.after) pull(other);
    const double wanted = weight > 0 ? sum / weight : vertex.place;
    const double strength = std::max(weight, 1.0);
    pools.push_back({strength * (wanted - shift[i]), strength, 1});
    while (pools.size() > 1) {
      const Pool last = pools.back();
      Pool& previous = pools[pools.size() - 2];
      if (previous.sum * last.weight <= last.sum * previous.weight) break;
      previous = {previous.sum + last.sum, previous.weight + last.weight,
                  previous.count + last.count};
      pools.pop_back();
    }
  }
  std::size_t i = 0;
  for (const Pool& pool : pools) {
    for (std::size_t k = 0; k < pool.count; ++k, ++i) {
      graph.vertices[static_cast<std::size_t>(layer[i])].place = pool.sum / pool.weight + shift[i];
    }
  }
}

void place(DrawGraph& graph) {
  for (const std::vector<int>& layer : graph.layers) {
    double at = 0;
    for (std::size_t i = 0; i < layer.size(); ++i) {
      DrawVertex& vertex = graph.vertices[static_cast<std::size_t>(layer[i])];
      if (i > 0) at += separation(graph.vertices[static_cast<std::size_t>(layer[i - 1])], vertex);
      vertex.place = at;
    }
    for (const int v : layer) graph.vertices[static_cast<std::size_t>(v)].place -= at / 2;
  }
  for (int sweep = 0; sweep < kPlaceSweeps; ++sweep) {
    for (std::size_t i = 0; i < graph.layers.size(); ++i) {
      place_layer(graph, graph.layers[sweep % 2 == 0 ? i : graph.layers.size() - 1 - i]);
    }
  }
}

// The vertex that should lie straight behind v: the rest of its track, or the only reader of an
// only source; -1: none.
int straight_successor(const DrawGraph& graph, int v) {
  const DrawVertex& vertex = graph.vertices[static_cast<std::size_t>(v)];
  for (const int next : vertex.after) {
    const DrawVertex& target = graph.vertices[static_cast<std::size_t>(next)];
    if (vertex.dummy && target.dummy) return next;
    if (vertex.after.size() == 1 && target.before.size() == 1) return next;
  }
  return -1;
}

struct Room {
  double low = -kFar;
  double high = kFar;
};

// Where vertex v may lie while its neighbours stay.
Room room_of(const DrawGraph& graph, const std::vector<int>& position, int v) {
  const auto at = [&](int u) -> const DrawVertex& {
    return graph.vertices[static_cast<std::size_t>(u)];
  };
  const std::vector<int>& row = graph.layers[static_cast<std::size_t>(at(v).layer)];
  const auto i = static_cast<std::size_t>(position[static_cast<std::size_t>(v)]);
  Room room;
  if (i > 0) room.low = at(row[i - 1]).place + separation(at(row[i - 1]), at(v));
  if (i + 1 < row.size()) room.high = at(row[i + 1]).place - separation(at(v), at(row[i + 1]));
  return room;
}

// The longest run from `head` on that fits one place gets it; returns the vertex after it, -1 at
// the end.
int straighten_run(DrawGraph& graph, const std::vector<int>& position, int head,
                   std::vector<bool>& done) {
  Room room;
  double sum = 0;
  std::vector<int> run;
  int v = head;
  for (; v >= 0 && !done[static_cast<std::size_t>(v)]; v = straight_successor(graph, v)) {
    const Room own = room_of(graph, position, v);
    const Room both = {std::max(room.low, own.low), std::min(room.high, own.high)};
    if (both.low > both.high && !run.empty()) break;
    room = both;
    sum += graph.vertices[static_cast<std::size_t>(v)].place;
    run.push_back(v);
    done[static_cast<std::size_t>(v)] = true;
  }
  if (run.size() > 1) {
    const double mean = sum / static_cast<double>(run.size());
    for (const int member : run) {
      graph.vertices[static_cast<std::size_t>(member)].place =
          std::min(std::max(mean, room.low), room.high);
    }
  }
  return v >= 0 && !done[static_cast<std::size_t>(v)] ? v : -1;
}

void straighten(DrawGraph& graph) {
  const std::vector<int> position = positions(graph);
  std::vector<bool> done(graph.vertices.size(), false);
  for (const std::vector<int>& layer : graph.layers) {
    for (const int head : layer) {
      int v = done[static_cast<std::size_t>(head)] ? -1 : head;
      while (v >= 0) v = straighten_run(graph, position, v, done);
    }
  }
}

}  // namespace

void place_vertices(DrawGraph& graph) {
  place(graph);
  straighten(graph);
}

}  // namespace enas
