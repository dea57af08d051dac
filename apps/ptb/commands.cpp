#include "apps/ptb/commands.h"

#include "apps/ptb/arch_command.h"
#include "apps/ptb/architecture_file.h"
#include "apps/ptb/model.h"
#include "apps/ptb/options.h"
#include "apps/ptb/run_commands.h"
#include "apps/ptb/weights.h"
#include "apps/run/device.h"
#include "apps/run/run_directory.h"
#include "nn/safetensors.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

// A weight file with the text it belongs to: a run directory knows both.
struct Source {
  std::string file, data;
};
Source source_of(const Registry& registry, const std::string& command, const std::string& weights,
                 const std::string& data) {
  const std::string where = "enas_ptb " + command;
  check(exists(weights), ErrorKind::usage, where, weights,
        " does not exist; expected a run directory or a model.safetensors");
  if (!is_run_directory(weights)) {
    check(!data.empty(), ErrorKind::usage, where, "needs --data, the text that ", weights,
          " was trained on");
    return {weights, data};
  }
  const std::string file = weights + "/model.safetensors";
  if (!exists(file)) {
    const bool search = read_run_record(weights).command == "search";
    fail(ErrorKind::usage, where, file, " does not exist: ",
         search ? "a search trains no final weights; try derive, then train with --arch " +
                      weights + "/arch/best.json"
                : "this run has not finished training; try enas_ptb resume " + weights);
  }
  if (!data.empty()) return {file, data};
  const Settings run =
      settings_from_config(registry, read_run_record(weights).command, weights + "/config.toml");
  return {file, run.text("data")};
}

std::string text_or_empty(const Settings& settings, const char* name) {
  return settings.has(name) ? settings.text(name) : "";
}

int eval(const Registry& registry, const Invocation& call) {
  Settings settings = call.settings;
  check(settings.has("weights"), ErrorKind::usage, "enas_ptb eval",
        "needs --weights, e.g. --weights runs/first");
  const Source source =
      source_of(registry, "eval", settings.text("weights"), text_or_empty(settings, "data"));
  const bool json = settings.flag("json");
  Console console({.quiet = json || settings.flag("quiet")});
  const Corpus corpus = load_corpus(source.data);
  console.line(corpus.description);
  const Device device = choose_device(settings, "enas_ptb eval", console);
  const Evaluation evaluation =
      evaluate(load_model(source.file, corpus, device), corpus, settings.text("split"));
  console.result(json ? evaluation_json(evaluation) : evaluation_text(evaluation, corpus));
  return 0;
}

int generate(const Registry& registry, const Invocation& call) {
  Settings settings = call.settings;
  const Source source =
      source_of(registry, "generate", call.operands[0], text_or_empty(settings, "data"));
  const Corpus corpus = load_corpus(source.data);
  GenerateOptions options;
  options.tokens = settings.integer("tokens");
  options.temperature = settings.real("temperature");
  options.prompt = text_or_empty(settings, "prompt");
  options.seed = static_cast<uint64_t>(settings.integer("seed"));
  Console notes({.output = 2});  // standard output is for the text alone
  const Device device = choose_device(settings, "enas_ptb generate", notes);
  Console().result(
      generate_text(load_model(source.file, corpus, device), corpus.vocabulary, options));
  return 0;
}

// export: the weights, or the architecture that they belong to, as a file of another form.
int export_files(const Registry& registry, const Invocation& call) {
  const Settings& settings = call.settings;
  const std::string where = "enas_ptb export", format = text_or_empty(settings, "format");
  const bool from_weights = settings.has("weights");
  check(settings.has("format") && settings.has("to"), ErrorKind::usage, where,
        "needs --format and --to, e.g. --format svg --to cell.svg");
  check(from_weights != settings.has("arch"), ErrorKind::usage, where,
        "needs --weights or --arch, one of them");
  check(from_weights || format != "safetensors", ErrorKind::usage, where,
        "--format safetensors needs --weights");
  WeightFile file;
  if (from_weights) {
    const std::string& weights = settings.text("weights");
    file = load_weights(is_run_directory(weights) ? source_of(registry, "export", weights, "-").file
                                                  : weights);
    check(format == "safetensors" || file.metadata.count("arch") != 0, ErrorKind::checkpoint,
          file.path,
          "holds shared weights, no single architecture; expected a model.safetensors of train");
  }
  std::string bytes;
  if (format != "safetensors") {
    const std::string text =
        from_weights ? file.metadata.at("arch") : architecture_text(settings.text("arch"));
    const RnnSpace space = rnn_space_of(text);
    const Architecture arch = space.parse(text);
    bytes = format == "svg"   ? to_svg(draw_cell(space, arch))
            : format == "dot" ? to_dot(draw_cell(space, arch))
                              : cell_json(space, arch) + "\n";
    write_file_atomic(settings.text("to"), bytes);
  } else {
    write_safetensors(settings.text("to"), {file.tensors, file.metadata});
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
  const bool plan = call.settings.known("plan") && call.settings.flag("plan");  // needs no GPU
  if (call.settings.known("device") && !(plan && kWithCuda))
    check_device(call.settings.text("device"), "enas_ptb " + call.command);
  if (call.settings.known("threads") && call.settings.has("threads")) {
    set_thread_count(static_cast<int>(call.settings.integer("threads")));
  }
  if (call.command == "resume") return resume_run(registry, call, call.operands[0]);
  if (call.command == "derive") return derive_run(registry, call);
  if (call.command == "correlate") return correlate_run(registry, call);
  if (call.command == "eval") return eval(registry, call);
  if (call.command == "arch") return arch_command(call);
  if (call.command == "generate") return generate(registry, call);
  if (call.command == "export") return export_files(registry, call);
  if (call.command == "data") return data(call);
  return start_run(registry, call, std::vector<std::string>(argv, argv + argc));
}

}  // namespace enas
