// --help: every option of a command by group, with default, unit, range and source, straight from
// the registry.
#include <algorithm>
#include <cmath>

#include "apps/run/options.h"
#include "tensor/check.h"

namespace enas {
namespace {

constexpr std::size_t kWidth = 100;
constexpr std::size_t kIndent = 6;

// Words of `text` in lines of at most kWidth columns, indented.
std::string wrap(const std::string& text) {
  std::string result;
  std::string line(kIndent, ' ');
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (line.size() > kIndent && line.size() + 1 + word.size() > kWidth) {
      result += line + "\n";
      line.assign(kIndent, ' ');
    }
    if (line.size() > kIndent) line += ' ';
    line += word;
    begin = end + 1;
  }
  return result + line + "\n";
}

std::string placeholder(const OptionSpec& spec) {
  switch (spec.kind) {
    case OptionKind::flag:
      return "";
    case OptionKind::integer:
      return " N";
    case OptionKind::real:
      return " X";
    case OptionKind::duration:
      return " TIME";
    case OptionKind::interval:
      return " TIME|Nsteps";
    case OptionKind::choice:
      return " " + join(spec.choices, "|");
    case OptionKind::choice_list:
      return " NAME[,NAME]";
    case OptionKind::text:
      return spec.unit.empty() ? " TEXT" : " " + spec.unit;
  }
  return "";
}

std::string limit(const OptionSpec& spec, double value) {
  if (spec.kind == OptionKind::duration) return shortest(value) + "s";
  if (std::floor(value) == value && std::abs(value) < 1e15) {
    return std::to_string(static_cast<std::int64_t>(value));
  }
  return shortest(value);
}

// "12 (macro), 6 (micro)"; empty where the default is the same for all variants.
std::string variant_values(const Registry& registry, std::string_view command,
                           const OptionSpec& spec) {
  std::vector<std::string> parts;
  for (const Preset& defaults : registry.variant_defaults()) {
    if (!defaults.applies_to(command, defaults.variant)) continue;
    for (const auto& [name, value] : defaults.values) {
      if (name == spec.name) parts.push_back(value + " (" + defaults.variant + ")");
    }
  }
  return join(parts, ", ");
}

std::string facts(const Registry& registry, std::string_view command, const OptionSpec& spec) {
  std::vector<std::string> parts;
  const std::string varied = variant_values(registry, command, spec);
  if (!varied.empty()) {
    parts.push_back("default " + varied);
  } else if (spec.kind != OptionKind::flag) {
    parts.push_back("default " + (spec.default_value.empty() ? "none" : spec.default_value));
  }
  if (spec.kind != OptionKind::text && !spec.unit.empty()) parts.push_back("unit " + spec.unit);
  if (spec.minimum && spec.maximum) {
    parts.push_back("range " + limit(spec, *spec.minimum) + " .. " + limit(spec, *spec.maximum));
  } else if (spec.minimum) {
    parts.push_back("range " + limit(spec, *spec.minimum) + " ..");
  } else if (spec.maximum) {
    parts.push_back("range .. " + limit(spec, *spec.maximum));
  }
  if (spec.kind == OptionKind::choice_list) parts.push_back("names " + join(spec.choices, ", "));
  for (const OptionNeed& need : registry.needs()) {
    if (need.speaks_of(spec.name, command)) parts.push_back(need.words());
  }
  if (!spec.source.empty()) parts.push_back("source " + spec.source);
  return parts.empty() ? "" : " [" + join(parts, "; ") + "]";
}

std::string option_help(const Registry& registry, std::string_view command,
                        const OptionSpec& spec) {
  return "  --" + spec.name + placeholder(spec) + "\n" +
         wrap(spec.help + facts(registry, command, spec));
}

// As it is typed: " --nodes 8", of a flag " --dense" or " --dense=false".
std::string setting(const OptionSpec& option, const std::string& value) {
  const bool on = option.kind == OptionKind::flag && value == "true";
  const char* between = option.kind == OptionKind::flag ? "=" : " ";
  return " --" + option.name + (on ? "" : between + value);
}

std::string preset_help(const Registry& registry, std::string_view command) {
  std::string text;
  for (const Preset& preset : registry.presets()) {
    if (registry.find_preset(preset.name, command, preset.variant) != &preset) continue;
    std::string values;
    for (const auto& [key, value] : preset.values) {
      if (const OptionSpec* option = registry.find(key, command)) values += setting(*option, value);
    }
    if (values.empty()) values = " the defaults";
    const std::string variant =
        preset.variant.empty() ? "" : " --" + registry.variant_option() + " " + preset.variant;
    text += "  " + preset.name + variant + "\n" + wrap(preset.help + ":" + values);
  }
  return text;
}

}  // namespace

std::string help_text(const Registry& registry, std::string_view command) {
  const CommandSpec* spec = registry.find_command(command);
  check(spec != nullptr, "help", "unknown command ", command);
  std::string text = "usage: " + registry.program() + " " + spec->name +
                     (spec->operands.empty() ? "" : " " + spec->operands) + " [options]\n" +
                     spec->help + "\n";
  const std::vector<const OptionSpec*> options = registry.options_of(command);
  std::vector<std::string> groups;
  for (const OptionSpec* option : options) {
    if (std::find(groups.begin(), groups.end(), option->group) == groups.end()) {
      groups.push_back(option->group);
    }
  }
  for (const std::string& group : groups) {
    text += "\n" + group + "\n";
    for (const OptionSpec* option : options) {
      if (option->group == group) text += option_help(registry, command, *option);
    }
  }
  text += "\nhelp\n  --help\n" + wrap("print this text");
  const std::string presets = preset_help(registry, command);
  if (registry.find("preset", command) && !presets.empty()) text += "\npresets\n" + presets;
  if (!registry.find("config", command)) return text;
  return text + "\nprecedence: option > configuration file > preset > default\n";
}

std::string short_help_text(const Registry& registry) {
  std::string text = "usage: " + registry.program() + " COMMAND [options]\n";
  if (!registry.summary().empty()) text += registry.summary() + "\n";
  text += "\ncommands\n";
  std::size_t width = 0;
  const auto title = [](const CommandSpec& command) {
    return command.name + (command.operands.empty() ? "" : " " + command.operands);
  };
  for (const CommandSpec& command : registry.commands()) {
    width = std::max(width, title(command).size());
  }
  for (const CommandSpec& command : registry.commands()) {
    const std::string left = title(command);
    text += "  " + left + std::string(width + 2 - left.size(), ' ') + command.help + "\n";
  }
  return text + "\n" + registry.program() + " COMMAND --help lists every option of a command, " +
         registry.program() + " --version tells what this build is.\n";
}

}  // namespace enas
