// The one registry of options that every command, configuration file and --help reads. A value
// comes from, in rising order: default, preset, configuration file, option (docs/interface.md
// "Commands of each app"). Values are kept as text in a canonical form, checked against kind and
// range once, where they enter.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace enas {

enum class OptionKind { flag, integer, real, text, choice, choice_list, duration, interval };

// What a value is for: `result` shapes the numbers of a run; `execution` (threads, checkpoint
// interval) does not, but is recorded; `invocation` (--out, --quiet) belongs to one call and stays
// out of config.toml.
enum class OptionScope { result, execution, invocation };

struct OptionSpec {
  std::string name = {};  // without dashes
  OptionKind kind = OptionKind::text;
  std::string default_value = {};  // empty: not set
  std::string unit = {};
  std::optional<double> minimum = {};  // both ends belong to the range; durations in seconds
  std::optional<double> maximum = {};
  std::vector<std::string> choices = {};
  std::string help = {};
  std::string source = {};  // where default and range come from, as "docs/method.md 1.3"
  std::string group = "general";
  std::vector<std::string> commands = {};  // empty: every command
  OptionScope scope = OptionScope::result;

  bool applies_to(std::string_view command) const;
};

struct CommandSpec {
  std::string name = {};
  std::string operands = {};  // as shown in the usage line: "RUN", "info PATH"
  std::string help = {};
  int minimum_operands = 0;
  int maximum_operands = 0;
};

using PresetValues = std::vector<std::pair<std::string, std::string>>;

struct Preset {
  std::string name = {};
  std::string help = {};
  PresetValues values = {};
  std::vector<std::string> commands = {};  // empty: every command
  std::string variant = {};                // of set_variants; empty: every variant

  bool applies_to(std::string_view command, std::string_view variant_now) const;
};

// What options of some commands need to have an effect: that `other`, or the first operand where
// that is empty, has one of `values`; "" is: not set; no values: set to anything.
struct OptionNeed {
  std::vector<std::string> options = {};
  std::vector<std::string> commands = {};
  std::string other = {};
  std::vector<std::string> values = {};

  bool speaks_of(std::string_view option, std::string_view command) const;
  bool met_by(std::string_view now) const;
  std::string words() const;  // "only with --space micro"
};

class Registry {
 public:
  explicit Registry(std::string program, std::string summary = {})
      : program_(std::move(program)), summary_(std::move(summary)) {}

  void add_command(CommandSpec spec);
  // The same name may be added twice for disjoint commands. A bad default or a clash is `internal`.
  void add(OptionSpec spec);
  // After the options that it names; its name becomes a choice of --preset. Unknown names are
  // `internal`. The same name may be added for several disjoint lists of commands.
  void add_preset(std::string name, std::string help, PresetValues values,
                  std::vector<std::string> commands = {}, std::string variant = {});
  // The option, a choice, that decides about defaults and presets: enas_cifar's --space.
  void set_variants(std::string option) { variant_option_ = std::move(option); }
  const std::string& variant_option() const { return variant_option_; }
  // Defaults under one value of it, for those of the commands that have the option.
  void add_defaults(std::string variant, std::string source, PresetValues values,
                    std::vector<std::string> commands);

  // After the options that it names.
  void add_need(OptionNeed need);
  const std::vector<OptionNeed>& needs() const { return needs_; }

  const OptionSpec* find(std::string_view name, std::string_view command) const;  // null: unknown
  const CommandSpec* find_command(std::string_view name) const;
  const Preset* find_preset(std::string_view name, std::string_view command,
                            std::string_view variant = {}) const;
  std::vector<const OptionSpec*> options_of(std::string_view command) const;  // as added
  std::vector<std::string> commands_with(std::string_view option) const;      // that know it
  const std::vector<CommandSpec>& commands() const { return commands_; }
  const std::vector<Preset>& presets() const { return presets_; }
  // Those of add_defaults: a preset each, its help the source.
  const std::vector<Preset>& variant_defaults() const { return variant_defaults_; }
  const std::string& program() const { return program_; }
  const std::string& summary() const { return summary_; }

 private:
  void check_values(const std::string& name, const PresetValues& values,
                    const std::vector<std::string>& commands) const;
  std::string program_;
  std::string summary_;
  std::vector<CommandSpec> commands_;
  std::vector<OptionSpec> options_;
  std::vector<Preset> presets_;
  std::vector<Preset> variant_defaults_;
  std::vector<OptionNeed> needs_;
  std::string variant_option_;
};

enum class Origin { default_value, preset, config, option };

// Of --checkpoint-every: one of the two is positive.
struct Interval {
  double seconds = 0;
  std::int64_t steps = 0;
};

// The resolved values of one command. Getters of a name or kind that the command lacks are
// `internal`.
class Settings {
 public:
  struct Value {
    OptionSpec spec;
    std::string text;
    Origin origin = Origin::default_value;
    // "default (docs/method.md 1.3)", "preset quick", "config a.toml:3", "option".
    std::string origin_text;
  };

  Settings() = default;
  // All defaults of a command, of the default variant or the one named.
  Settings(const Registry& registry, std::string_view command, std::string_view variant = {});

  bool known(std::string_view name) const;  // the command has the option
  bool has(std::string_view name) const;    // it has a value
  bool flag(std::string_view name) const;
  std::int64_t integer(std::string_view name) const;
  double real(std::string_view name) const;
  const std::string& text(std::string_view name) const;  // text or choice
  std::vector<std::string> list(std::string_view name) const;
  double seconds(std::string_view name) const;  // duration
  Interval interval(std::string_view name) const;
  Origin origin(std::string_view name) const;
  const std::string& origin_text(std::string_view name) const;

  // Checks and stores a value; `where` opens the message of a refusal (kind `usage`).
  void set(std::string_view name, std::string_view text, Origin origin, std::string origin_text,
           std::string_view where);
  const std::vector<Value>& values() const { return values_; }

 private:
  const Value& get(std::string_view name) const;
  const Value& get(std::string_view name, OptionKind kind) const;
  std::vector<Value> values_;
};

// One call of the program. Where message is not empty, print it and exit with exit_code: help (0),
// no command (2).
struct Invocation {
  std::string command;
  std::vector<std::string> operands;
  Settings settings;
  std::string message;
  int exit_code = 0;
};

// Throws Error of kind `usage`: unknown command or option (with the nearest names), a value out of
// range, a bad configuration file, a wrong number of operands.
Invocation parse_command_line(const Registry& registry, int argc, const char* const* argv);

// Part of it: refuses options that were given and have no effect (Registry::add_need).
void refuse_without_effect(const Registry& registry, const Invocation& call);

// Refuses an option that was given and says something else than the architecture: `found`.
// `where` opens the message.
void check_agrees(const Settings& settings, std::string_view option, int64_t found,
                  std::string_view where);

// Settings of a command from a configuration file alone, as resume reads RUN/config.toml.
Settings settings_from_config(const Registry& registry, std::string_view command,
                              const std::string& path);

// The text of config.toml: every value of scope result and execution with a comment naming its
// origin. Fed back by --config it gives the same values.
std::string resolved_toml(const Settings& settings);

// What shapes the numbers of a run and nothing else: the `result` values but for the data's path,
// one "name = value" a line. Equal texts: equal results from equal data.
std::string result_toml(const Settings& settings);

// Names of the `result` values in which two settings differ; what resume refuses names.
std::vector<std::string> differing_options(const Settings& a, const Settings& b);

std::string help_text(const Registry& registry, std::string_view command);
std::string short_help_text(const Registry& registry);

// --data --out --seed --device --threads --config --preset --budget --max-steps --log-every
// --checkpoint-every --on-nan --quiet --json-log --overwrite, each for those commands of
// docs/interface.md that use it and that the registry has: commands are added first.
void add_common_options(Registry& registry);

// Words of an app in the help of the options that both have.
struct StageWords {
  std::string data, batches, batches_unit;  // "images"; what derive scores on, and its unit
  std::string drawing;                      // file name of an architecture's drawing
};
// Options of derive, correlate and export, of what `run` and `train` train, of files
// (stage_options.cpp).
void add_stage_options(Registry& registry, const StageWords& words);

std::string join(const std::vector<std::string>& parts, std::string_view separator);

// The canonical text of a value, or Error `usage` naming range, found value and source. `where`
// names option or key.
std::string canonical_value(const OptionSpec& spec, std::string_view text, std::string_view where);
// Seconds of "30m", "90s", "1h30m", "2d"; empty where the text is no duration.
std::optional<double> parse_duration(std::string_view text);
std::optional<Interval> parse_interval(std::string_view text);
// The names nearest to `found` by edit distance (swaps count one), nearest first, at most three;
// far ones are left out.
std::vector<std::string> nearest_names(std::string_view found,
                                       const std::vector<std::string>& known);
std::string shortest(double value);  // shortest text that reads back to the same double

}  // namespace enas
