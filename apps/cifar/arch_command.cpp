#include "apps/cifar/arch_command.h"

#include <fmt/format.h>

#include "apps/cifar/options.h"
#include "apps/run/console.h"
#include "apps/run/json_text.h"
#include "data/file.h"
#include "data/grouped.h"
#include "nas/macro/cost.h"
#include "nas/micro/cost.h"

namespace enas {
namespace {

void show(const ImageSpace& space, const Architecture& arch, const Settings& settings,
          Console& console) {
  if (settings.flag("json")) {
    console.result(image_arch_json(space, arch));
  } else {
    console.result(text_of(space, arch));
    console.result(one_a_line(words_of(space, arch)));
  }
  if (!settings.has("to")) return;
  const std::string& folder = settings.text("to");
  make_directory(folder);
  const Drawing drawing = draw_image_arch(space, arch);
  write_file_atomic(folder + "/arch.svg", to_svg(drawing));
  write_file_atomic(folder + "/arch.dot", to_dot(drawing));
  if (!settings.flag("json"))
    console.result("wrote " + folder + "/arch.svg and " + folder + "/arch.dot");
}

struct Costs {
  NetworkCost alone;      // of the stand-alone network
  int64_t shared_params;  // of the search network
};

Costs costs_of(const ImageSpace& space, const Architecture& arch, const Settings& settings) {
  const auto parity = [&](const char* name) { return CifarOptions(settings, "arch").parity(name); };
  const int64_t classes = settings.integer("classes"), size = settings.integer("image-size");
  if (const auto* macro = std::get_if<MacroSpace>(&space)) {
    MacroChildOptions child;
    child.filters = settings.integer("filters");
    child.classes = classes;
    MacroFinalOptions alone;
    alone.filters = settings.integer("train-filters");
    alone.classes = classes;
    alone.full_conv = parity("final-full-conv");
    // Of a search over as many layers as --layers says, whatever the architecture has.
    const MacroSpace searched(static_cast<int>(settings.integer("layers")),
                              {macro->concat_input(), false});
    return {macro_final_cost(*macro, arch, alone, size), macro_shared_params(searched, child)};
  }
  const auto& micro = std::get<MicroSpace>(space);
  MicroChildOptions child;
  child.normal_cells = static_cast<int>(settings.integer("layers"));
  child.filters = settings.integer("filters");
  child.classes = classes;
  child.image_size = size;
  child.reduce_stride2 = parity("reduce-stride2");
  MicroFinalOptions alone;
  alone.normal_cells = static_cast<int>(settings.integer("train-layers"));
  alone.filters = settings.integer("train-filters");
  alone.classes = classes;
  alone.image_size = size;
  alone.auxiliary = false;
  return {micro_final_cost(micro, arch, alone), micro_shared_params(micro, child)};
}

void cost(const ImageSpace& space, const Architecture& arch, const Settings& settings,
          Console& console) {
  const Costs costs = costs_of(space, arch, settings);
  const NetworkCost& alone = costs.alone;
  if (!settings.has("arch") && !settings.flag("json"))
    console.result("of a random architecture, as no --arch is given: " + text_of(space, arch));
  console.result(
      settings.flag("json")
          ? JsonLine()
                .add("params", alone.params)
                .add("shared_params", costs.shared_params)
                .add("macs", alone.macs)
                .text()
          : fmt::format("{} parameters stand-alone, {} shared, {} multiply-adds an image",
                        format_count(static_cast<double>(alone.params)),
                        format_count(static_cast<double>(costs.shared_params)),
                        format_count(static_cast<double>(alone.macs))));
}

// The exact number beside the paper's formula.
void count(const ImageSpace& space, const Settings& settings, Console& console) {
  std::string exact = count_of(space),
              paper = std::visit([](const auto&s) { return s.paper_count(); }, space);
  if (settings.flag("json")) {
    JsonLine line;
    line.add("space", space_name(space));
    if (const auto* macro = std::get_if<MacroSpace>(&space)) {
      line.add("layers", macro->layers());
    } else {
      line.add("nodes", std::get<MicroSpace>(space).nodes());
    }
    console.result(line.add("count", exact).add("paper_count", paper).text());
    return;
  }
  exact = grouped(exact), paper = grouped(paper);
  if (const auto* macro = std::get_if<MacroSpace>(&space)) {
    const int layers = macro->layers();
    console.result(fmt::format("{} architectures: 6^{} operations times 2^{} skips", exact, layers,
                               layers * (layers - 1) / 2));
    console.result(
        fmt::format("{} by the paper's formula 6^L 2^(L (L-1) / 2), L = {}", paper, layers));
    return;
  }
  const int nodes = std::get<MicroSpace>(space).nodes();
  console.result(fmt::format(
      "{} architectures: in either cell node i, 2 to {}, picks two of i earlier nodes and two of 5 "
      "operations",
      exact, nodes + 1));
  console.result(fmt::format(
      "{} by the paper's formula (5 (B - 2)!)^4, B = {} nodes with the inputs", paper, nodes + 2));
}

}  // namespace

int cifar_arch_command(const App& app, const Invocation& call) {
  const Settings& settings = call.settings;
  const std::string& what = call.operands[0];
  Console console;
  check_parity(settings, app.name("arch"));
  const CifarOptions options(settings, "arch");
  const bool given = settings.has("arch");
  const auto concat = options.parity("concat-input");
  ImageSpace space =
      options.macro()
          ? ImageSpace(MacroSpace(static_cast<int>(settings.integer("layers")), {concat, false}))
          : ImageSpace(MicroSpace(static_cast<int>(settings.integer("nodes"))));
  const Random random{static_cast<uint64_t>(settings.integer("seed")), Stream::uniform_sample, 1};
  Architecture arch;
  if (given) {
    const std::string text = image_arch_text(settings.text("arch"), options.macro());
    space = options.space_of(text);
    arch = parse(space, text);
    if (const auto* macro = std::get_if<MacroSpace>(&space)) {  // of the search where `cost`
      if (what != "cost") check_agrees(settings, "layers", macro->layers(), app.name("arch"));
    } else {
      check_agrees(settings, "nodes", std::get<MicroSpace>(space).nodes(), app.name("arch"));
    }
  } else if (what == "random" || what == "cost") {
    arch = uniform_architectures(decisions_of(space, {}), 1, random)[0];
  }
  if (what == "show") {
    check(given, ErrorKind::usage, app.name("arch show"), "needs --arch, e.g. --arch published");
    show(space, arch, settings, console);
  } else if (what == "random") {
    show(space, arch, settings, console);
  } else if (what == "count") {
    count(space, settings, console);
  } else if (what == "cost") {
    cost(space, arch, settings, console);
  } else {
    fail(ErrorKind::usage, app.name("arch"), "'", what,
         "' is unknown; expected show, random, count or cost",
         what == "draw" ? "; show with --to FOLDER draws" : "");
  }
  return 0;
}

}  // namespace enas
