// The options that commands of both apps share (docs/interface.md "Commands of each app", common
// options).
#include "apps/run/options.h"

namespace enas {
namespace {

using Commands = std::vector<const char*>;

const Commands kStarting = {"run", "search", "train"};
const Commands kStepping = {"run", "search", "train", "resume"};
const Commands kRunning = {"run", "search", "train", "derive", "resume", "correlate"};
const Commands kComputing = {"run", "search", "train", "derive", "eval", "resume", "correlate"};
const Commands kOnDevice = {"run",    "search",    "train",    "derive", "eval",
                            "resume", "correlate", "generate", "predict"};
const Commands kConfigured = {"run", "search", "train", "derive", "eval", "correlate", "arch"};
constexpr const char* kInterface = "docs/interface.md";

// For those of the commands that the registry has.
void add(Registry& registry, const Commands& commands, OptionSpec spec) {
  for (const char* command : commands) {
    if (registry.find_command(command)) spec.commands.emplace_back(command);
  }
  if (!spec.commands.empty()) registry.add(std::move(spec));
}

void add_input_options(Registry& registry) {
  add(registry, {"run", "search", "train", "derive", "eval", "generate", "resume", "correlate"},
      {.name = "data",
       .unit = "PATH|builtin:NAME",
       .help = "the data; its form is recognised by content",
       .source = kInterface,
       .group = "data"});
  add(registry, kStarting,
      {.name = "out",
       .unit = "RUN",
       .help = "the run directory to make",
       .source = kInterface,
       .group = "files",
       .scope = OptionScope::invocation});
  add(registry, kStarting,
      {.name = "overwrite",
       .kind = OptionKind::flag,
       .help = "replace an existing run directory",
       .source = kInterface,
       .group = "files",
       .scope = OptionScope::invocation});
  add(registry, kConfigured,
      {.name = "config",
       .unit = "FILE.toml",
       .help = "read options from a file",
       .source = kInterface,
       .group = "files",
       .scope = OptionScope::invocation});
  add(registry, kConfigured,
      {.name = "preset",
       .kind = OptionKind::choice,
       .help = "a named set of values",
       .source = kInterface,
       .group = "general",
       .scope = OptionScope::execution});
  add(registry, {"run", "search", "train", "derive", "correlate", "arch", "generate"},
      {.name = "seed",
       .kind = OptionKind::integer,
       .default_value = "1",
       .minimum = 0,
       .help = "seed of every random stream",
       .source = kInterface});
}

void add_machine_options(Registry& registry) {
  add(registry, kOnDevice,
      {.name = "device",
       .kind = OptionKind::choice,
       .default_value = "cpu",
       .choices = {"cpu", "cuda", "auto"},
       .help = "where to compute",
       .source = kInterface,
       .group = "machine",
       .scope = OptionScope::execution});
  add(registry, kComputing,
      {.name = "threads",
       .kind = OptionKind::integer,
       .unit = "threads",
       .minimum = 1,
       .maximum = 1024,
       .help = "threads that compute; unset: the cores allowed to this process",
       .source = kInterface,
       .group = "machine",
       .scope = OptionScope::execution});
  add(registry, {"run", "search", "train", "derive", "resume", "correlate"},
      {.name = "budget",
       .kind = OptionKind::duration,
       .minimum = 1,
       .help = "wall-clock cap: then a checkpoint, a result, exit 0",
       .source = kInterface,
       .group = "length",
       .scope = OptionScope::execution});
  add(registry, kStepping,
      {.name = "max-steps",
       .kind = OptionKind::integer,
       .unit = "steps",
       .minimum = 1,
       .help = "stop after so many shared or train steps",
       .source = kInterface,
       .group = "length",
       .scope = OptionScope::execution});
  add(registry, kStepping,
      {.name = "on-nan",
       .kind = OptionKind::choice,
       .default_value = "stop",
       .choices = {"stop", "skip"},
       .help = "at a NaN or an infinity: end the run, or skip the step (at most 1 % of them)",
       .source = kInterface,
       .group = "general",
       .scope = OptionScope::execution});
}

void add_output_options(Registry& registry) {
  add(registry, kStarting,
      {.name = "log-every",
       .kind = OptionKind::integer,
       .default_value = "50",
       .unit = "steps",
       .minimum = 1,
       .help = "shared or train steps a metrics line",
       .source = kInterface,
       .group = "output"});
  add(registry, kStepping,
      {.name = "checkpoint-every",
       .kind = OptionKind::interval,
       .default_value = "10m",
       .help = "time or steps between checkpoints",
       .source = kInterface,
       .group = "output",
       .scope = OptionScope::execution});
  add(registry, kRunning,
      {.name = "json-log",
       .kind = OptionKind::flag,
       .help = "print one JSON object a line instead of text",
       .source = kInterface,
       .group = "output",
       .scope = OptionScope::invocation});
  add(registry, kComputing,
      {.name = "quiet",
       .kind = OptionKind::flag,
       .help = "print only results and errors",
       .source = kInterface,
       .group = "output",
       .scope = OptionScope::invocation});
}

}  // namespace

void add_common_options(Registry& registry) {
  add_input_options(registry);
  add_machine_options(registry);
  add_output_options(registry);
}

}  // namespace enas
