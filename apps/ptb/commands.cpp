#include "apps/ptb/commands.h"

#include <fmt/format.h>

#include "apps/ptb/architecture_file.h"
#include "apps/ptb/options.h"
#include "apps/ptb/pipeline.h"
#include "apps/ptb/train_stage.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

int eval(const Registry& registry, const Invocation& call) {
  const Settings& settings = call.settings;
  check(settings.has("weights"), ErrorKind::usage, "enas_ptb eval",
        "needs --weights, e.g. --weights runs/first");
  const std::string& weights = settings.text("weights");
  check(exists(weights), ErrorKind::usage, "enas_ptb eval", "--weights ", weights,
        " does not exist; expected a run directory or a model.safetensors");
  const bool run = is_run_directory(weights), json = settings.flag("json");
  const std::string file = run ? weights + "/model.safetensors" : weights;
  check(!run || exists(file), ErrorKind::usage, "enas_ptb eval", file,
        " does not exist: this run has not finished training; try enas_ptb resume ", weights);
  std::string data = settings.has("data") ? settings.text("data") : "";
  if (data.empty()) {
    check(run, ErrorKind::usage, "enas_ptb eval", "needs --data, the text that ", file,
          " was trained on");
    data =
        settings_from_config(registry, read_run_record(weights).command, weights + "/config.toml")
            .text("data");
  }
  Console console({.quiet = json || settings.flag("quiet")});
  const Corpus corpus = load_corpus(data);
  console.line(corpus.description);
  const Evaluation evaluation = evaluate_weights(file, corpus, settings.text("split"));
  console.result(json ? evaluation_json(evaluation) : evaluation_text(evaluation, corpus));
  return 0;
}

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
    console.result(space.to_words(arch));
  }
  if (!settings.has("to")) return;
  const std::string& folder = settings.text("to");
  make_directory(folder);
  const Drawing drawing = draw_cell(space, arch);
  write_file_atomic(folder + "/cell.svg", to_svg(drawing));
  write_file_atomic(folder + "/cell.dot", to_dot(drawing));
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

int arch(const Invocation& call) {
  const Settings& settings = call.settings;
  const std::string& what = call.operands[0];
  Console console;
  const bool given = settings.has("arch");
  const std::string text = given ? architecture_text(settings.text("arch")) : "";
  const RnnSpace space =
      given ? rnn_space_of(text) : RnnSpace(static_cast<int>(settings.integer("nodes")));
  const Architecture architecture = given ? space.parse(text) : Architecture{};
  if (what == "show") {
    check(given, ErrorKind::usage, "enas_ptb arch show", "needs --arch, e.g. --arch published");
    show(space, architecture, settings, console);
  } else if (what == "random") {
    const Random random{static_cast<uint64_t>(settings.integer("seed")), Stream::uniform_sample, 1};
    show(space, uniform_architectures(space.decisions({}), 1, random)[0], settings, console);
  } else if (what == "count") {
    console.result(
        settings.flag("json")
            ? JsonLine().add("nodes", space.nodes()).add("count", space.count()).text()
            : fmt::format("{} architectures: {}! ways to connect {} nodes, times 4^{} activations",
                          space.count(), space.nodes(), space.nodes(), space.nodes()));
  } else if (what == "cost") {
    cost(space, settings, console);
  } else {
    fail(ErrorKind::usage, "enas_ptb arch", "'", what,
         "' is unknown; expected show, random, count or cost");
  }
  return 0;
}

int data(const Invocation& call) {
  check(call.operands[0] == "info", ErrorKind::usage, "enas_ptb data", "'", call.operands[0],
        "' is unknown; expected info");
  Console console;
  console.result(load_corpus(call.operands[1]).description);
  return 0;
}

}  // namespace

int enas_ptb(int argc, const char* const* argv) {
  const Registry registry = ptb_registry();
  const Invocation call = parse_command_line(registry, argc, argv);
  if (!call.message.empty()) {
    Console().result(call.message);
    return call.exit_code;
  }
  if (call.settings.known("device") && call.settings.text("device") == "cuda") {
    fail(ErrorKind::device, "enas_ptb " + call.command,
         "--device cuda: this build has no CUDA kernels; use --device cpu or auto");
  }
  if (call.settings.known("threads") && call.settings.has("threads")) {
    set_thread_count(static_cast<int>(call.settings.integer("threads")));
  }
  if (call.command == "resume") return resume_run(registry, call, call.operands[0]);
  if (call.command == "derive") return derive_run(registry, call);
  if (call.command == "eval") return eval(registry, call);
  if (call.command == "arch") return arch(call);
  if (call.command == "data") return data(call);
  return start_run(registry, call, std::vector<std::string>(argv, argv + argc));
}

}  // namespace enas
