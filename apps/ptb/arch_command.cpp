#include "apps/ptb/arch_command.h"

#include <fmt/format.h>

#include "apps/ptb/architecture_file.h"
#include "apps/run/json_text.h"
#include "data/grouped.h"

namespace enas {
namespace {

void show(const RnnSpace& space, const Architecture& arch, const Settings& settings,
          Console& console) {
  if (settings.flag("json")) {
    console.result(JsonLine()
                       .add("arch", space.to_string(arch))
                       .add("nodes", space.nodes())
                       .add("words", space.to_words(arch))
                       .text());
  } else {
    console.result(space.to_string(arch));
    console.result(one_a_line(space.to_words(arch)));
  }
  if (!settings.has("to")) return;
  const std::string& folder = settings.text("to");
  make_directory(folder);
  const Drawing drawing = draw_cell(space, arch, settings.flag("with-space"));
  write_file_atomic(folder + "/cell.svg", to_svg(drawing));
  write_file_atomic(folder + "/cell.dot", to_dot(drawing));
  if (!settings.flag("json"))
    console.result("wrote " + folder + "/cell.svg and " + folder + "/cell.dot");
}

void cost(const RnnSpace& space, const Settings& settings, Console& console) {
  RnnChildOptions options;
  options.vocabulary = settings.integer("vocabulary");
  options.hidden = settings.integer("hidden");
  options.share = settings.text("share") == "edge" ? Share::edge : Share::edge_op;
  options.cell = settings.text("cell") == "plain" ? CellKind::plain : CellKind::highway;
  const CellCost cost = cost_of(space, options);
  const int64_t shared = shared_parameters(space, options);
  console.result(settings.flag("json")
                     ? JsonLine()
                           .add("params", cost.params)
                           .add("shared_params", shared)
                           .add("macs", cost.macs)
                           .text()
                     : fmt::format("{} parameters stand-alone, {} shared, {} multiply-adds a token",
                                   format_count(static_cast<double>(cost.params)),
                                   format_count(static_cast<double>(shared)),
                                   format_count(static_cast<double>(cost.macs))));
}

// The exact number beside the paper's formula, which takes any two nodes as connected.
void count(const RnnSpace& space, const Settings& settings, Console& console) {
  const int nodes = space.nodes();
  if (settings.flag("json")) {
    JsonLine line;
    line.add("nodes", nodes).add("count", space.count()).add("paper_count", space.paper_count());
    console.result(line.text());
    return;
  }
  console.result(fmt::format(
      "{} architectures: {}! ways to connect {} nodes to earlier ones, times 4^{} activations",
      grouped(space.count()), nodes, nodes, nodes + (space.searched_first() ? 1 : 0)));
  console.result(fmt::format("{} by the paper's formula 4^N * N!, N = {} nodes in all",
                             grouped(space.paper_count()), nodes + 1));
}

}  // namespace

int arch_command(const App& app, const Invocation& call) {
  const Settings& settings = call.settings;
  const std::string& what = call.operands[0];
  Console console;
  const bool given = settings.has("arch");
  const std::string text = given ? cell_text(settings.text("arch")) : "";
  const RnnSpace space = given ? rnn_space_of(text)
                               : RnnSpace(static_cast<int>(settings.integer("nodes")),
                                          !settings.list("parity").empty());
  const Architecture architecture = given ? space.parse(text) : Architecture{};
  if (given) check_agrees(settings, "nodes", space.nodes(), app.name("arch"));
  if (what == "show") {
    check(given, ErrorKind::usage, app.name("arch show"), "needs --arch, e.g. --arch published");
    show(space, architecture, settings, console);
  } else if (what == "random") {
    const Random random{static_cast<uint64_t>(settings.integer("seed")), Stream::uniform_sample, 1};
    show(space, uniform_architectures(space.decisions({}), 1, random)[0], settings, console);
  } else if (what == "count") {
    count(space, settings, console);
  } else if (what == "cost") {
    cost(space, settings, console);
  } else {
    fail(ErrorKind::usage, app.name("arch"), "'", what,
         "' is unknown; expected show, random, count or cost",
         what == "draw" ? "; show with --to FOLDER draws" : "");
  }
  return 0;
}

}  // namespace enas
