#include "apps/cifar/space.h"

#include <nlohmann/json.hpp>

#include "apps/run/architecture_files.h"
#include "apps/run/console.h"
#include "tensor/check.h"

namespace enas {
namespace {

constexpr const char* kConcat = "concat:";

nlohmann::ordered_json cell_json(const MicroCell& cell) {
  nlohmann::ordered_json json;
  for (const MicroCell::Node& node : cell.nodes) {
    json["nodes"].push_back(
        {{"inputs", {node.in1, node.in2}}, {"operations", {name_of(node.op1), name_of(node.op2)}}});
  }
  json["loose_ends"] = cell.loose_ends;
  return json;
}

void add_decoded(nlohmann::ordered_json& json, const MacroSpace& space, const Architecture& arch) {
  json["layers"] = space.layers();
  for (const MacroArch::Layer& layer : space.decode(arch).layers) {
    std::vector<std::string> skips;
    for (size_t k = 0; k < layer.skips.size(); ++k) {
      if (!layer.skips[k]) continue;
      const int source = MacroArch::source(static_cast<int>(k), space.concat_input());
      skips.push_back(source == MacroSpace::kStem ? "stem" : std::to_string(source + 1));
    }
    json["network"].push_back({{"operation", name_of(layer.op)}, {"skips", skips}});
  }
}

void add_decoded(nlohmann::ordered_json& json, const MicroSpace& space, const Architecture& arch) {
  const MicroArch cells = space.decode(arch);
  json["nodes"] = space.nodes();
  json["normal"] = cell_json(cells.normal);
  json["reduction"] = cell_json(cells.reduction);
}

}  // namespace

std::string size_of(const ImageSpace& space) {
  if (const auto* macro = std::get_if<MacroSpace>(&space)) return counted(macro->layers(), "layer");
  return counted(std::get<MicroSpace>(space).nodes(), "node") + " a cell";
}

std::string image_arch_text(const std::string& argument, bool macro) {
  if (argument == "published") return macro ? MacroSpace::published() : MicroSpace::published();
  if (macro) {
    return architecture_text(argument, {{kConcat},
                                        "3 0 0 0 1 0",
                                        "a layer's operation, then a bit a skip candidate, e.g. "
                                        "3 0 0 0 1 0",
                                        "macro"});
  }
  return architecture_text(argument,
                           {{},
                            "0 2 0 0",
                            "`in1 op1 in2 op2` of each node, normal cell then reduction cell, e.g. "
                            "0 2 0 0 1 4 2 1",
                            "micro"});
}

ImageSpace image_space_of(const std::string& text, bool macro, bool concat_input) {
  if (!macro) return micro_space_of(text);
  const MacroSpace space = macro_space_of(text);
  check(space.concat_input() == concat_input, ErrorKind::usage, "--arch",
        concat_input ? "--parity concat-input reads texts with the prefix concat:, found none"
                     : "the prefix concat: needs --parity concat-input; its bits mean other "
                       "candidates");
  return space;
}

std::string image_arch_json(const ImageSpace& space, const Architecture& arch) {
  nlohmann::ordered_json json;
  json["arch"] = text_of(space, arch);
  json["space"] = space_name(space);
  std::visit([&](const auto& s) { add_decoded(json, s, arch); }, space);
  json["words"] = words_of(space, arch);
  return json.dump();
}

}  // namespace enas
