#include "apps/ptb/architecture_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/run/json_text.h"
#include "data/file.h"
#include "nn/safetensors.h"

namespace enas {
namespace {
constexpr uint64_t kMaxFile = uint64_t{1} << 20;

// Names the first token that is no integer; where even the first is none, the text was meant as
// something else.
void check_integers(const std::string& argument) {
  constexpr std::string_view kPrefix = "enas1:";
  const bool prefixed = argument.rfind(kPrefix, 0) == 0;
  std::istringstream words(prefixed ? argument.substr(kPrefix.size()) : argument);
  std::string word;
  for (int number = 1; words >> word; ++number) {
    if (word.find_first_not_of("0123456789") == std::string::npos) continue;
    check(number > 1 || prefixed, ErrorKind::usage, "--arch", quote_name(argument),
          " is neither a file nor a list of integers such as \"0 2 1 0\" nor `published`");
    fail(ErrorKind::usage, "--arch", "token ", number, " ", quote_name(word),
         " is not an integer; expected `previous activation` of each node, e.g. 0 2 1 0");
  }
}
}  // namespace

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

std::string architecture_json(const RnnSpace& space, const Candidate& candidate, int64_t rank,
                              const CellCost& cost) {
  JsonLine line;
  line.add("rank", rank).add("arch", space.to_string(candidate.arch)).add("score", candidate.score);
  line.add("metric", "valid_ppl")
      .add("source", candidate.from_controller ? "controller" : "random");
  line.add("params", cost.params)
      .add("macs", cost.macs)
      .add("space", "rnn")
      .add("nodes", space.nodes());
  line.add("words", space.to_words(candidate.arch));
  return line.text();
}

void write_architectures(const std::string& folder, const RnnSpace& space,
                         std::span<const Candidate> ranked, int64_t top, const CellCost& cost) {
  make_directory(folder);
  std::string list;
  int64_t kept[2] = {0, 0};
  // Under random search nothing comes from a controller: then `best` is the best of all.
  const bool policy = std::any_of(ranked.begin(), ranked.end(),
                                  [](const Candidate& c) { return c.from_controller; });
  for (const Candidate& candidate : ranked) {
    int64_t& of_group = kept[candidate.from_controller ? 0 : 1];
    if (++of_group > top) continue;
    const std::string json = architecture_json(space, candidate, of_group, cost);
    list += (list.empty() ? "[\n  " : ",\n  ") + json;
    if (of_group > 1) continue;
    const bool best = candidate.from_controller || !policy;
    const std::string name = best ? "/best" : "/best-random";
    write_file_atomic(folder + name + ".json", json + "\n");
    if (!best) continue;
    const Drawing drawing = draw_cell(space, candidate.arch);
    write_file_atomic(folder + name + ".txt", space.to_string(candidate.arch) + "\n");
    write_file_atomic(folder + name + ".svg", to_svg(drawing));
    write_file_atomic(folder + name + ".dot", to_dot(drawing));
  }
  write_file_atomic(folder + "/top.json", list.empty() ? "[]\n" : list + "\n]\n");
}

std::string architecture_text(const std::string& argument) {
  if (argument == "published") return RnnSpace::published();
  if (!exists(argument)) {
    check_integers(argument);
    return argument;
  }
  const std::string text = read_file(argument, kMaxFile, real_files(), ErrorKind::usage);
  if (text.find_first_not_of(" \t\r\n") == std::string::npos ||
      text[text.find_first_not_of(" \t\r\n")] != '{')
    return text;
  const auto json = nlohmann::json::parse(text, nullptr, false);
  check(!json.is_discarded() && json.contains("arch") && json["arch"].is_string(), ErrorKind::usage,
        argument, "is not JSON with a text under \"arch\", as arch/best.json has it");
  return json["arch"].get<std::string>();
}

Drawing draw_cell(const RnnSpace& space, const Architecture& arch, bool with_space) {
  const RnnCell cell = space.decode(arch);
  const auto id = [](int node) { return "n" + std::to_string(node); };
  const auto loose = [&](int node) {
    return std::find(cell.loose_ends.begin(), cell.loose_ends.end(), node) != cell.loose_ends.end();
  };
  Drawing drawing;
  drawing.title = "Recurrent cell, " + std::to_string(space.nodes()) + " nodes after node 0";
  drawing.subtitle = space.to_string(arch);
  drawing.nodes.push_back({"x", "x_t", NodeKind::input, "", ""});
  drawing.nodes.push_back({"h", "h_{t-1}", NodeKind::input, "", ""});
  const std::string first(name_of(cell.first));
  drawing.nodes.push_back({id(0), first, loose(0) ? NodeKind::loose : NodeKind::node, "0", first});
  drawing.edges.push_back({"x", id(0), "", false});
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
