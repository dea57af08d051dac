#include "apps/run/run_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "apps/run/device.h"
#include "apps/run/pipeline.h"
#include "tensor/blas.h"

namespace enas {
namespace {

std::string hex(uint64_t fingerprint) { return fmt::format("{:016x}", fingerprint); }

// `derive RUN` writes its own checkpoints, so it must not take the place of one that is needed.
void check_derivable(const App& app, const RunDirectory& run, const std::string& path) {
  const std::string where = app.name("derive"), resume = app.name("resume ");
  check(run.record().command != "train", ErrorKind::usage, where, path,
        " is a run of train, expected one of search");
  check(exists(run.shared_weights()), ErrorKind::usage, where, run.shared_weights(),
        " does not exist: the search has not finished; try ", resume, path);
  if (run.record().command == "search" || run.record().status == RunStatus::finished) return;
  const std::optional<Checkpoint> at = CheckpointFolder(run.checkpoints()).load_latest();
  const std::string stage = at ? at->text("stage") : "";
  const bool baseline = settings_from_config(app.registry, "run", run.config()).flag("baseline");
  const bool whole = stage == "eval" && (!baseline || exists(run.file("random/eval.json")));
  const bool own = whole || (stage == "derive" && DeriveStage::options_in(*at).again);
  check(own, ErrorKind::usage, where, path, " is not finished; finish it first: ", resume, path);
}

int continue_in(const App& app, const Invocation& call, const std::string& path,
                const std::optional<DeriveOptions>& again) {
  Console console(console_options(call.settings));
  RunDirectory run = RunDirectory::open(path);
  check_program(app, run.record(), path, call.command);
  const std::string command = run.record().command;
  if (again) {
    check_derivable(app, run, path);
  } else if (run.record().status == RunStatus::finished) {
    console.line(path + " is finished; nothing to " +
                 (call.command == "run" ? "do; --overwrite starts it anew" : "resume"));
    return 0;
  }
  Settings settings = settings_of(app.registry, run, call.settings);
  const Workbench bench = open_data_of(app, run, settings, call.settings, console);
  const Device device = choose_device(settings, app.name(call.command), console);
  run.count_resume();
  move_to_device(run, device, console);
  Session session(settings, std::move(run), console);
  return execute_run(app, bench, session, command, again);
}

// Refuses what would fail later, before a directory exists.
void rehearse(const App& app, const Workbench& bench, const std::string& command,
              const Settings& settings) {
  bench.rehearse(command, settings);
  if (command != "run") return;
  check(
      settings.integer("retrain") <= std::min(settings.integer("top"), settings.integer("samples")),
      ErrorKind::usage, app.name("run"), "--retrain ", settings.integer("retrain"),
      " is more than --top ", settings.integer("top"), " or --samples ",
      settings.integer("samples"));
  check(settings.integer("retrain-epochs") == 0 || settings.integer("retrain") > 1,
        ErrorKind::usage, app.name("run"),
        "--retrain-epochs needs --retrain 2 or more, which says how many to try");
}

// --data as an absolute path and --arch as the architecture itself, so that the configuration means
// the same later and elsewhere. Refuses bad architecture text.
Settings self_contained(const App& app, const std::string& command, Settings settings) {
  const auto put = [&](const std::string& name, const std::string& value) {
    const std::string origin = settings.origin_text(name);
    settings.set(name, value, settings.origin(name), origin, app.terms.program + ": --" + name);
  };
  if (const std::string data = settings.text("data"); data.rfind("builtin:", 0) != 0)
    put("data", std::filesystem::absolute(data).lexically_normal().string());
  if (command == "train") {
    check(settings.has("arch"), ErrorKind::usage, app.name("train"),
          "needs --arch, e.g. --arch published");
    put("arch", app.architecture(settings.text("arch"), settings));
  }
  return settings;
}

// "--nodes 8 (there 4)", the first few.
std::string differences(const Settings& here, const Settings& there) {
  constexpr size_t kShown = 4;
  const std::vector<std::string> names = differing_options(here, there);
  const auto text = [](const Settings& settings, const std::string& name) -> std::string {
    for (const Settings::Value& value : settings.values())
      if (value.spec.name == name && !value.text.empty()) return value.text;
    return "unset";
  };
  std::string all;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    all += fmt::format("{}--{} {} (there {})", i == 0 ? "" : ", ", names[i], text(here, names[i]),
                       text(there, names[i]));
  }
  if (names.size() > kShown) all += fmt::format(" and {} more", names.size() - kShown);
  return all;
}

}  // namespace

ConsoleOptions console_options(const Settings& settings) {
  return {.quiet = settings.flag("quiet"), .json = settings.flag("json-log")};
}

void check_program(const App& app, const RunRecord& record, const std::string& path,
                   const std::string& command) {
  const bool shared = command != "predict" && command != "generate";  // by both programs
  check(record.program == app.terms.program, ErrorKind::usage, app.name(command), path,
        " is a run of ", record.program, "; ",
        shared ? "try " + record.program + " " + command : "expected one of " + app.terms.program);
}

void announce(const Workbench& bench, Console& console) {
  console.line(bench.description);
  for (const std::string& warning : bench.warnings) console.warn(warning);
}

Workbench open_data_of(const App& app, const RunDirectory& run, const Settings& settings,
                       const Settings& call, Console& console) {
  const std::string data = call.has("data") ? call.text("data") : settings.text("data");
  Workbench bench = app.open(data);
  const std::string now = hex(bench.fingerprint), then = run.record().data_fingerprint;
  check(now == then, ErrorKind::data, data, "has changed since ", run.path(),
        " began: fingerprint ", now, ", expected ", then, "; restore the ", app.terms.data,
        " or start a new run");
  announce(bench, console);
  return bench;
}

Settings settings_of(const Registry& registry, const RunDirectory& run, const Settings& call) {
  Settings settings = settings_from_config(registry, run.record().command, run.config());
  for (const Settings::Value& value : call.values()) {
    const bool execution =
        value.spec.scope != OptionScope::result && value.origin == Origin::option;
    if (execution && settings.known(value.spec.name)) {
      settings.set(value.spec.name, value.text, Origin::option, "option",
                   registry.program() + ": --" + value.spec.name);
    }
  }
  return settings;
}

int start_run(const App& app, const Invocation& call, const std::vector<std::string>& argv) {
  const std::string where = app.name(call.command);
  check(call.settings.has("data"), ErrorKind::usage, where, "needs --data, e.g. --data ",
        app.terms.example);
  const Settings settings = self_contained(app, call.command, call.settings);
  if (settings.flag("plan")) {
    const Workbench bench = app.open(settings.text("data"));
    Console console;
    console.result(bench.description);
    for (const std::string& warning : bench.warnings) console.warn(warning);
    std::string text = bench.plan(call.command, settings);
    text.pop_back();  // its last newline: the console writes one
    console.result(text);
    return 0;
  }
  check(settings.has("out"), ErrorKind::usage, where, "needs --out, e.g. --out runs/first");
  const std::string out = run_path(settings.text("out"));
  if (call.command == "run" && !settings.flag("overwrite") && is_run_directory(out)) {
    const RunRecord made = read_run_record(out);
    check_program(app, made, out, call.command);
    const std::string maker = made.command;
    check(maker == "run", ErrorKind::usage, where, out, " exists and is a run of ", maker,
          "; choose another --out, or --overwrite");
    const Settings stored = settings_from_config(app.registry, maker, out + "/config.toml");
    const std::string differing = differences(settings, stored);
    check(differing.empty(), ErrorKind::usage, where, out,
          " exists with another configuration: ", differing,
          "; choose another --out, or --overwrite");
    return resume_run(app, call, out);
  }
  refuse_existing(out, settings.flag("overwrite"));
  Console console(console_options(settings));
  const Workbench bench = app.open(settings.text("data"));
  announce(bench, console);
  rehearse(app, bench, call.command, settings);
  Settings own = settings;  // config.toml keeps `auto`
  RunRecord record;
  record.gpu = gpu_record(choose_device(own, where, console));
  record.program = app.terms.program;
  record.command = call.command;
  record.argv = argv;
  record.seed = static_cast<uint64_t>(settings.integer("seed"));
  record.blas = blas_name();
  record.data = bench.description;
  record.data_fingerprint = hex(bench.fingerprint);
  Session session(
      own, RunDirectory::create(out, record, resolved_toml(settings), settings.flag("overwrite")),
      console);
  return execute_run(app, bench, session, call.command);
}

int run_in(const App& app, const Workbench& bench, const std::string& path,
           const Settings& settings, const RunRecord& record, bool go_on) {
  Console console(console_options(settings));
  RunDirectory run =
      go_on ? RunDirectory::open(path)
            : RunDirectory::create(path, record, resolved_toml(settings), is_run_directory(path));
  if (go_on) {
    run.count_resume();
    move_to_device(run, device_of(settings), console);
  }
  const Settings own = go_on ? settings_of(app.registry, run, settings) : settings;
  Session session(own, std::move(run), console);
  return execute_run(app, bench, session, "train");
}

int resume_run(const App& app, const Invocation& call, const std::string& path) {
  return continue_in(app, call, run_path(path), {});
}

int derive_run(const App& app, const Invocation& call) {
  const Settings& s = call.settings;
  return continue_in(
      app, call, run_path(call.operands[0]),
      DeriveOptions{s.integer("samples"), s.integer("top"), s.integer("batches"),
                    s.origin("seed") == Origin::default_value ? -1 : s.integer("seed"), true});
}

}  // namespace enas
