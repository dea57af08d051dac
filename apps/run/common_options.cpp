// The options that commands of both apps share (docs/interface.md "Commands of each app", common
// options).
#include "apps/run/options.h"

namespace enas {
namespace {

using Commands = std::vector<const char*>;

const Commands kStarting = {"run", "search", "train"};
// They go on with a run and its configuration: an option that is not given has the run's value.
const Commands kOfARun = {"derive", "resume", "correlate"};
const Commands kOfWeights = {"eval", "generate", "predict"};
const Commands kConfigured = {"run", "search", "train", "derive", "eval", "correlate", "arch"};
constexpr const char* kInterface = "docs/interface.md";
constexpr const char* kAsTheRun = "; unset: as the run has it";

Commands operator+(Commands left, const Commands& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

// For those of the commands that the registry has.
void add(Registry& registry, const Commands& commands, OptionSpec spec) {
  for (const char* command : commands) {
    if (registry.find_command(command)) spec.commands.emplace_back(command);
  }
  if (!spec.commands.empty()) registry.add(std::move(spec));
}

// For commands that start a run, and with its default left out for those that go on with one.
void add_with_runs(Registry& registry, const Commands& starting, const Commands& of_a_run,
                   OptionSpec spec) {
  add(registry, starting, spec);
  spec.default_value.clear();
  spec.help += kAsTheRun;
  add(registry, of_a_run, std::move(spec));
}

void add_input_options(Registry& registry) {
  OptionSpec data = {.name = "data",
                     .unit = "PATH|builtin:NAME",
                     .help = "the data, always needed; their form is recognised by content",
                     .source = kInterface,
                     .group = "data"};
  add(registry, kStarting, data);
  data.help = "where the data lie now, if no longer where the run found them";
  add(registry, kOfARun, data);
  data.help = "the data, needed with a weight file; of a run its own";
  add(registry, {"eval", "generate"}, data);
  add(registry, kStarting,
      {.name = "out",
       .unit = "RUN",
       .help = "the run directory to make, needed unless --plan is given",
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
  add(registry, kStarting + Commands{"arch"},
      {.name = "preset",
       .kind = OptionKind::choice,
       .help = "a named set of values",
       .source = kInterface,
       .group = "general",
       .scope = OptionScope::execution});
  OptionSpec seed = {.name = "seed",
                     .kind = OptionKind::integer,
                     .default_value = "1",
                     .minimum = 0,
                     .help = "seed of every random stream",
                     .source = kInterface};
  add(registry, kStarting, seed);
  seed.help = "seed of what is drawn";
  add(registry, {"correlate", "arch", "generate"}, seed);
  seed.help += kAsTheRun;
  seed.default_value.clear();
  add(registry, {"derive"}, seed);
}

void add_machine_options(Registry& registry) {
  add_with_runs(registry, kStarting + kOfWeights, kOfARun,
                {.name = "device",
                 .kind = OptionKind::choice,
                 .default_value = "cpu",
                 .choices = {"cpu", "cuda", "auto"},
                 .help = "where to compute",
                 .source = kInterface,
                 .group = "machine",
                 .scope = OptionScope::execution});
  add(registry, kStarting + kOfARun + kOfWeights,
      {.name = "threads",
       .kind = OptionKind::integer,
       .unit = "threads",
       .minimum = 1,
       .maximum = 1024,
       .help = "threads that compute; unset: the cores allowed to this process",
       .source = kInterface,
       .group = "machine",
       .scope = OptionScope::execution});
  add_with_runs(registry, kStarting, {"derive", "resume"},
                {.name = "budget",
                 .kind = OptionKind::duration,
                 .minimum = 1,
                 .help = "wall-clock cap: then a checkpoint, a result, exit 0",
                 .source = kInterface,
                 .group = "length",
                 .scope = OptionScope::execution});
  add_with_runs(registry, kStarting, {"resume"},
                {.name = "max-steps",
                 .kind = OptionKind::integer,
                 .unit = "steps",
                 .minimum = 1,
                 .help = "stop after so many shared or train steps",
                 .source = kInterface,
                 .group = "length",
                 .scope = OptionScope::execution});
  add_with_runs(
      registry, kStarting, {"resume"},
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
  add_with_runs(registry, kStarting, {"resume"},
                {.name = "checkpoint-every",
                 .kind = OptionKind::interval,
                 .default_value = "10m",
                 .help = "time or steps between checkpoints",
                 .source = kInterface,
                 .group = "output",
                 .scope = OptionScope::execution});
  add(registry, kStarting + kOfARun,
      {.name = "json-log",
       .kind = OptionKind::flag,
       .help = "print one JSON object a line instead of text",
       .source = kInterface,
       .group = "output",
       .scope = OptionScope::invocation});
  add(registry, kStarting + kOfARun + Commands{"eval"},
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
