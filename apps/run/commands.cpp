#include "apps/run/commands.h"

#include "apps/run/device.h"
#include "apps/run/run_commands.h"
#include "nn/safetensors.h"
#include "tensor/thread_pool.h"

namespace enas {

WeightSource weight_source(const App& app, const std::string& command, const std::string& weights,
                           const std::string& data) {
  const std::string where = app.name(command);
  check(exists(weights), ErrorKind::usage, where, weights,
        " does not exist; expected a run directory or a model.safetensors");
  if (!is_run_directory(weights)) {
    check(!is_directory(weights), ErrorKind::usage, where, weights,
          " is a folder without run.json; expected a run directory or a model.safetensors");
    check(!data.empty(), ErrorKind::usage, where, "needs --data, the ", app.terms.data, " that ",
          weights, " was trained on");
    return {weights, data};
  }
  check_program(app, read_run_record(weights), weights, command);
  const std::string file = weights + "/model.safetensors";
  if (!exists(file)) {
    const bool search = read_run_record(weights).command == "search";
    fail(ErrorKind::usage, where, file, " does not exist: ",
         search ? "a search trains no final weights; try derive, then train with --arch " +
                      weights + "/arch/best.json"
                : "this run has not finished training; try " + app.name("resume ") + weights);
  }
  if (!data.empty()) return {file, data};
  const Settings run = settings_from_config(app.registry, read_run_record(weights).command,
                                            weights + "/config.toml");
  return {file, run.text("data")};
}

std::string text_or_empty(const Settings& settings, const char* name) {
  return settings.has(name) ? settings.text(name) : "";
}

namespace {

// {"split","loss","ppl"|"accuracy","tokens"|"images","arch"}
std::string evaluation_json(const Terms& terms, const Evaluation& evaluation) {
  JsonLine line;
  line.add("split", evaluation.split).add("loss", evaluation.loss);
  line.add(terms.key, evaluation.figure).add(terms.items, evaluation.items);
  line.add("arch", evaluation.arch);
  return line.text();
}

int eval(const App& app, const Invocation& call) {
  Settings settings = call.settings;
  check(settings.has("weights"), ErrorKind::usage, app.name("eval"),
        "needs --weights, e.g. --weights runs/first");
  const WeightSource source =
      weight_source(app, "eval", settings.text("weights"), text_or_empty(settings, "data"));
  const bool json = settings.flag("json");
  Console console({.quiet = json || settings.flag("quiet")});
  const Workbench bench = app.open(source.data);
  announce(bench, console);
  const Device device = choose_device(settings, app.name("eval"), console);
  const Evaluation evaluation = bench.model(source.file, device)(settings.text("split"));
  console.result(json ? evaluation_json(app.terms, evaluation) : evaluation.text);
  return 0;
}

// export: the weights, or the architecture that they belong to, as a file of another form.
int export_files(const App& app, const Invocation& call) {
  const Settings& settings = call.settings;
  const std::string where = app.name("export"), format = text_or_empty(settings, "format");
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
    file = load_weights(is_run_directory(weights) ? weight_source(app, "export", weights, "-").file
                                                  : weights);
    check(format == "safetensors" || file.metadata.count("arch") != 0, ErrorKind::checkpoint,
          file.path,
          "holds shared weights, no single architecture; expected a model.safetensors of train");
  }
  if (format != "safetensors") {
    const std::string arch =
        from_weights ? file.metadata.at("arch") : app.architecture(settings.text("arch"), settings);
    const auto drawing = [&] { return app.draw(arch, settings, file.metadata); };
    write_file_atomic(settings.text("to"),
                      format == "svg"   ? to_svg(drawing())
                      : format == "dot" ? to_dot(drawing())
                                        : app.describe(arch, settings, file.metadata) + "\n");
  } else {
    write_safetensors(settings.text("to"), {file.tensors, file.metadata});
  }
  Console().result("wrote " + settings.text("to"));
  return 0;
}

int data(const App& app, const Invocation& call) {
  check(call.operands[0] == "info", ErrorKind::usage, app.name("data"), "'", call.operands[0],
        "' is unknown; expected info");
  Console console;
  const Workbench bench = app.open(call.operands[1]);
  console.result(bench.description);
  for (const std::string& warning : bench.warnings) console.warn(warning);
  return 0;
}

}  // namespace

int run_command(const App& app, int argc, const char* const* argv) {
  const Invocation call = parse_command_line(app.registry, argc, argv);
  if (!call.message.empty()) {
    Console().result(call.message);
    return call.exit_code;
  }
  const bool plan = call.settings.known("plan") && call.settings.flag("plan");  // needs no GPU
  if (call.settings.known("device") && !(plan && kWithCuda))
    check_device(call.settings.text("device"), app.name(call.command));
  if (call.settings.known("threads") && call.settings.has("threads")) {
    set_thread_count(static_cast<int>(call.settings.integer("threads")));
  }
  if (call.command == "resume") return resume_run(app, call, call.operands[0]);
  if (call.command == "derive") return derive_run(app, call);
  if (call.command == "correlate") return correlate_run(app, call);
  if (call.command == "eval") return eval(app, call);
  if (const auto own = app.commands.find(call.command); own != app.commands.end())
    return own->second(app, call);
  if (call.command == "export") return export_files(app, call);
  if (call.command == "data") return data(app, call);
  return start_run(app, call, std::vector<std::string>(argv, argv + argc));
}

}  // namespace enas
