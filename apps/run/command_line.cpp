// The command line: CLI11 splits it into options and operands; kinds, ranges, nearest names and
// precedence are the registry's, so that an option, a configuration key and a preset value are
// judged by one rule.
#include <CLI/CLI.hpp>
#include <algorithm>

#include "apps/run/config_file.h"
#include "apps/run/options.h"
#include "apps/run/version.h"
#include "data/file.h"
#include "tensor/check.h"

namespace enas {
namespace {

using Given = std::vector<std::pair<std::string, std::string>>;  // option name, text

std::string suggest(std::string_view prefix, const std::vector<std::string>& near) {
  if (near.empty()) return "";
  std::string text = "; nearest: ";
  for (std::size_t i = 0; i < near.size(); ++i) {
    if (i > 0) text += ", ";
    text.append(prefix).append(near[i]);
  }
  return text;
}

std::vector<std::string> option_names(const Registry& registry, std::string_view command) {
  std::vector<std::string> names = {"help"};
  for (const OptionSpec* option : registry.options_of(command)) names.push_back(option->name);
  return names;
}

[[noreturn]] void refuse_unknown(const Registry& registry, const std::string& command,
                                 const std::string& token) {
  const std::string shown = token.substr(0, token.find('='));
  const std::string name = shown.substr(std::min(shown.find_first_not_of('-'), shown.size()));
  const std::string where = registry.program() + " " + command;
  std::string elsewhere;
  for (const std::string& other : registry.commands_with(name)) {
    elsewhere += (elsewhere.empty() ? "; it belongs to: " : ", ") + other;
  }
  fail(ErrorKind::usage, where, "unknown option ", shown,
       suggest("--", nearest_names(name, option_names(registry, command))), elsewhere, "; try ",
       where, " --help");
}

// A value that looks like an option of this command means that the value was left out.
void refuse_swallowed_option(const Registry& registry, const std::string& command,
                             const std::string& name, const std::string& value) {
  if (value.rfind("--", 0) != 0) return;
  const std::string inner = value.substr(
      2, value.find('=') == std::string::npos ? std::string::npos : value.find('=') - 2);
  const std::vector<std::string> names = option_names(registry, command);
  const bool is_option = std::find(names.begin(), names.end(), inner) != names.end();
  check(!is_option, ErrorKind::usage, registry.program() + " " + command, "--", name,
        " needs a value, found the option ", value);
}

struct Split {
  Given given;
  std::vector<std::string> operands;
  bool help = false;
};

Split split(const Registry& registry, const std::string& command, int argc,
            const char* const* argv) {
  Split result;
  const std::string where = registry.program() + " " + command;
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  const CLI::Option* help = app.add_flag("--help,-h");
  app.add_option("operands", result.operands)->expected(0, 1 << 20);
  std::vector<std::pair<const OptionSpec*, CLI::Option*>> options;
  for (const OptionSpec* spec : registry.options_of(command)) {
    CLI::Option* option = spec->kind == OptionKind::flag ? app.add_flag("--" + spec->name)
                                                         : app.add_option("--" + spec->name);
    if (spec->kind != OptionKind::flag) option->expected(1)->take_all();
    options.emplace_back(spec, option);
  }
  std::vector<std::string> reversed;  // the order in which CLI11 wants them
  for (int i = argc - 1; i >= 2; --i) reversed.emplace_back(argv[i]);
  try {
    app.parse(reversed);
  } catch (const CLI::ArgumentMismatch& error) {  // "--batch: 1 required  missing"
    const std::string text = error.what();
    fail(ErrorKind::usage, where, text.substr(0, text.find(':')), " needs a value; try ", where,
         " --help");
  } catch (const CLI::ParseError& error) {
    fail(ErrorKind::usage, where, error.what(), "; try ", where, " --help");
  }
  result.help = help->count() > 0;
  if (result.help) return result;
  const std::vector<std::string> unknown = app.remaining();
  if (!unknown.empty()) refuse_unknown(registry, command, unknown.front());
  for (const auto& [spec, option] : options) {
    if (option->count() == 0) continue;
    const std::vector<std::string>& texts = option->results();
    check(texts.size() == 1 || spec->kind == OptionKind::flag, ErrorKind::usage, where, "--",
          spec->name, " is given ", texts.size(), " times, expected once");
    refuse_swallowed_option(registry, command, spec->name, texts.back());
    result.given.emplace_back(spec->name, texts.back());
  }
  return result;
}

void check_operands(const Registry& registry, const CommandSpec& command,
                    const std::vector<std::string>& operands) {
  const int count = static_cast<int>(operands.size());
  if (count >= command.minimum_operands && count <= command.maximum_operands) return;
  const std::string where = registry.program() + " " + command.name;
  std::string found;
  for (const std::string& operand : operands) found += " \"" + operand + "\"";
  if (count < command.minimum_operands) {
    fail(ErrorKind::usage, where, "needs ", command.operands,
         found.empty() ? "" : ", found only" + found, "; try ", where, " --help");
  }
  fail(ErrorKind::usage, where, "found", found, ", expected ",
       command.operands.empty() ? "none" : command.operands, "; try ", where, " --help");
}

void apply_preset(const Registry& registry, const std::string& name, const std::string& command,
                  Settings& settings) {
  const std::string& by = registry.variant_option();
  const std::string variant = !by.empty() && settings.known(by) ? settings.text(by) : "";
  const Preset* preset = registry.find_preset(name, command, variant);
  if (preset == nullptr) return;  // it has nothing to say about this command
  for (const auto& [key, value] : preset->values) {
    if (!settings.known(key)) continue;
    settings.set(key, value, Origin::preset, "preset " + name, "preset " + name + ": " + key);
  }
}

// What configuration file and command line make of an option that others depend on.
std::string chosen(const std::string& option, const Settings& defaults, const ConfigEntries& config,
                   const Given& given, const std::string& where) {
  if (option.empty() || !defaults.known(option)) return "";
  Settings probe = defaults;
  for (const ConfigEntry& entry : config) {
    if (entry.name == option)
      probe.set(entry.name, entry.text, Origin::config, "", entry.where + ": " + option);
  }
  for (const auto& [name, text] : given) {
    if (name == option) probe.set(name, text, Origin::option, "", where + ": --" + option);
  }
  return probe.text(option);
}

Settings resolve(const Registry& registry, const std::string& command, const ConfigEntries& config,
                 const Given& given) {
  const std::string where = registry.program() + " " + command;
  const Settings plain(registry, command);
  Settings settings(registry, command,
                    chosen(registry.variant_option(), plain, config, given, where));
  const std::string preset = chosen("preset", plain, config, given, where);
  if (!preset.empty()) apply_preset(registry, preset, command, settings);
  for (const ConfigEntry& entry : config) {
    if (!settings.known(entry.name)) continue;
    settings.set(entry.name, entry.text, Origin::config, "config " + entry.where,
                 entry.where + ": " + entry.name);
  }
  for (const auto& [name, text] : given) {
    settings.set(name, text, Origin::option, "option", where + ": --" + name);
  }
  return settings;
}

constexpr std::uint64_t kLargestConfig = 1 << 20;

ConfigEntries read_config(const Registry& registry, std::string_view command,
                          const std::string& path) {
  const std::string text = read_file(path, kLargestConfig, real_files(), ErrorKind::usage);
  return parse_config(registry, command, text, path);
}

}  // namespace

Settings settings_from_config(const Registry& registry, std::string_view command,
                              const std::string& path) {
  return resolve(registry, std::string(command), read_config(registry, command, path), {});
}

Invocation parse_command_line(const Registry& registry, int argc, const char* const* argv) {
  Invocation call;
  if (argc < 2) {
    call.message = short_help_text(registry);
    call.exit_code = 2;
    return call;
  }
  call.command = argv[1];
  if (call.command == "--help" || call.command == "-h") {
    call.message = short_help_text(registry);
    return call;
  }
  if (call.command == "--version") {
    call.message = version_text(registry.program());
    return call;
  }
  check(call.command.rfind('-', 0) != 0, ErrorKind::usage, registry.program(), "found ",
        call.command, " where a command is expected; options come after it; try ",
        registry.program(), " --help");
  const CommandSpec* command = registry.find_command(call.command);
  if (command == nullptr) {
    std::vector<std::string> names;
    for (const CommandSpec& known : registry.commands()) names.push_back(known.name);
    fail(ErrorKind::usage, registry.program(), "unknown command ", call.command,
         suggest("", nearest_names(call.command, names)), "; try ", registry.program(), " --help");
  }
  Split parts = split(registry, call.command, argc, argv);
  if (parts.help) {
    call.message = help_text(registry, call.command);
    return call;
  }
  check_operands(registry, *command, parts.operands);
  ConfigEntries config;
  for (const auto& [name, text] : parts.given) {
    if (name == "config") config = read_config(registry, call.command, text);
  }
  call.settings = resolve(registry, call.command, config, parts.given);
  call.operands = std::move(parts.operands);
  refuse_without_effect(registry, call);
  return call;
}

}  // namespace enas
