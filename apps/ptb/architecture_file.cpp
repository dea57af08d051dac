#include "apps/ptb/architecture_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/run/architecture_files.h"

namespace enas {

CellCost cost_of(const RnnSpace& space, const RnnChildOptions& options) {
  const int64_t h = options.hidden, width = options.cell == CellKind::highway ? 2 * h : h;
  const int64_t all = options.vocabulary * h + 2 * h * width + space.nodes() * h * width;
  return {all, all};  // each weight is used once a token, the table by the decoder
}

int64_t shared_parameters(const RnnSpace& space, const RnnChildOptions& options) {
  const int64_t h = options.hidden, width = options.cell == CellKind::highway ? 2 * h : h;
  const int64_t edges = int64_t{space.nodes()} * (space.nodes() + 1) / 2;
  const int64_t kinds = options.share == Share::edge_op ? kActivations : 1;
  const int64_t inputs = space.searched_first() ? kinds : 1;  // node 0's, as RnnChild makes them
  return options.vocabulary * h + inputs * 2 * h * width + edges * kinds * h * width;
}

std::string cell_json(const RnnSpace& space, const Architecture& arch) {
  const RnnCell cell = space.decode(arch);
  nlohmann::ordered_json json;
  json["arch"] = space.to_string(arch);
  json["space"] = "rnn";
  json["nodes"] = space.nodes();
  json["node0"] = name_of(cell.first);
  for (size_t i = 0; i < cell.nodes.size(); ++i) {
    json["edges"].push_back({cell.nodes[i].previous, i + 1, name_of(cell.nodes[i].activation)});
  }
  json["loose_ends"] = cell.loose_ends;
  json["words"] = space.to_words(arch);
  return json.dump();
}

std::string cell_text(const std::string& argument) {
  if (argument == "published") return RnnSpace::published();
  return architecture_text(
      argument, {{"enas1:"}, "0 2 1 0", "`previous activation` of each node, e.g. 0 2 1 0", "rnn"});
}

Drawing draw_cell(const RnnSpace& space, const Architecture& arch, bool with_space) {
  const RnnCell cell = space.decode(arch);
  const auto id = [](int node) { return "n" + std::to_string(node); };
  const auto loose = [&](int node) {
    return std::find(cell.loose_ends.begin(), cell.loose_ends.end(), node) != cell.loose_ends.end();
  };
  Drawing drawing;
  drawing.title = "Recurrent cell, " + std::to_string(space.nodes()) +
                  (space.nodes() == 1 ? " node" : " nodes") + " after node 0";
  drawing.subtitle = space.to_string(arch);
  drawing.chain = with_space;
  if (!drawing.chain) drawing.nodes.push_back({"x", "x_t", NodeKind::input, "", ""});
  drawing.nodes.push_back(
      {"h", drawing.chain ? "x_t, h_{t-1}" : "h_{t-1}", NodeKind::input, "", ""});
  const std::string first(name_of(cell.first));
  drawing.nodes.push_back({id(0), first, loose(0) ? NodeKind::loose : NodeKind::node, "0", first});
  if (!drawing.chain) drawing.edges.push_back({"x", id(0), "", false});
  drawing.edges.push_back({"h", id(0), "", false});
  for (int node = 1; node <= space.nodes(); ++node) {
    const RnnCell::Node& chosen = cell.nodes[static_cast<size_t>(node) - 1];
    const std::string f(name_of(chosen.activation));
    drawing.nodes.push_back(
        {id(node), f, loose(node) ? NodeKind::loose : NodeKind::node, std::to_string(node), f});
    for (int from = 0; with_space && from < node; ++from) {
      if (from != chosen.previous) drawing.edges.push_back({id(from), id(node), "", true});
    }
    drawing.edges.push_back({id(chosen.previous), id(node), "", false});
  }
  drawing.nodes.push_back(
      {"out", cell.loose_ends.size() > 1 ? "mean = h_t" : "h_t", NodeKind::output, "", ""});
  for (const int end : cell.loose_ends) drawing.edges.push_back({id(end), "out", "", false});
  return drawing;
}

}  // namespace enas
