// Registry and Settings: the table of options and the resolved values of one command.
#include "apps/run/options.h"

#include <algorithm>
#include <cstdlib>

#include "tensor/check.h"

namespace enas {

bool OptionSpec::applies_to(std::string_view command) const {
  return commands.empty() || std::find(commands.begin(), commands.end(), command) != commands.end();
}

void Registry::add_command(CommandSpec spec) {
  check(find_command(spec.name) == nullptr, "registry", "command ", spec.name, " added twice");
  commands_.push_back(std::move(spec));
}

void Registry::add(OptionSpec spec) {
  const std::string where = "registry: --" + spec.name;
  check(!spec.help.empty(), where, "has no help text");
  for (const std::string& command : spec.commands) {
    check(find_command(command) != nullptr, where, "names the unknown command ", command);
  }
  for (const CommandSpec& command : commands_) {
    check(!spec.applies_to(command.name) || find(spec.name, command.name) == nullptr, where,
          "added twice for ", command.name);
  }
  if (spec.kind == OptionKind::flag && spec.default_value.empty()) spec.default_value = "false";
  if (!spec.default_value.empty()) {
    spec.default_value = canonical_value(spec, spec.default_value, where);
  }
  options_.push_back(std::move(spec));
}

void Registry::check_values(const std::string& name, const PresetValues& values,
                            const std::vector<std::string>& commands) const {
  for (const auto& [key, value] : values) {
    const std::string where = "registry: " + name + ": " + key;
    bool known = false;
    for (const OptionSpec& option : options_) {
      const bool meant = commands.empty() || std::any_of(commands.begin(), commands.end(),
                                                         [&](const std::string& command) {
                                                           return option.applies_to(command);
                                                         });
      if (option.name != key || !meant) continue;
      known = true;
      canonical_value(option, value, where);
    }
    check(known, where, "no option of that name");
  }
}

void Registry::add_defaults(std::string variant, std::string source, PresetValues values,
                            std::vector<std::string> commands) {
  check_values("defaults of " + variant, values, commands);
  variant_defaults_.push_back(
      {"", std::move(source), std::move(values), std::move(commands), std::move(variant)});
}

void Registry::add_preset(std::string name, std::string help, PresetValues values,
                          std::vector<std::string> commands, std::string variant) {
  check_values("preset " + name, values, commands);
  for (OptionSpec& option : options_) {
    const bool listed =
        std::find(option.choices.begin(), option.choices.end(), name) != option.choices.end();
    if (option.name == "preset" && !listed) option.choices.push_back(name);
  }
  presets_.push_back({std::move(name), std::move(help), std::move(values), std::move(commands),
                      std::move(variant)});
}

const OptionSpec* Registry::find(std::string_view name, std::string_view command) const {
  for (const OptionSpec& option : options_) {
    if (option.name == name && option.applies_to(command)) return &option;
  }
  return nullptr;
}

const CommandSpec* Registry::find_command(std::string_view name) const {
  for (const CommandSpec& command : commands_) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

bool Preset::applies_to(std::string_view command, std::string_view variant_now) const {
  return (variant.empty() || variant == variant_now) &&
         (commands.empty() ||
          std::find(commands.begin(), commands.end(), command) != commands.end());
}

const Preset* Registry::find_preset(std::string_view name, std::string_view command,
                                    std::string_view variant) const {
  for (const Preset& preset : presets_) {
    if (preset.name == name && preset.applies_to(command, variant)) return &preset;
  }
  return nullptr;
}

std::vector<const OptionSpec*> Registry::options_of(std::string_view command) const {
  std::vector<const OptionSpec*> found;
  for (const OptionSpec& option : options_) {
    if (option.applies_to(command)) found.push_back(&option);
  }
  return found;
}

std::vector<std::string> Registry::commands_with(std::string_view option_name) const {
  std::vector<std::string> found;
  for (const CommandSpec& command : commands_) {
    if (find(option_name, command.name) != nullptr) found.push_back(command.name);
  }
  return found;
}

Settings::Settings(const Registry& registry, std::string_view command, std::string_view variant) {
  for (const OptionSpec* option : registry.options_of(command)) {
    std::string origin = "default";
    if (!option->source.empty()) origin += " (" + option->source + ")";
    values_.push_back({*option, option->default_value, Origin::default_value, std::move(origin)});
  }
  const std::string& by = registry.variant_option();
  if (by.empty() || !known(by)) return;
  const std::string now(variant.empty() ? text(by) : variant);
  set(by, now, Origin::default_value, origin_text(by), "registry: --" + by);
  for (const Preset& defaults : registry.variant_defaults()) {
    if (!defaults.applies_to(command, now)) continue;
    for (const auto& [name, value] : defaults.values) {
      if (known(name))
        set(name, value, Origin::default_value, "default of " + now + " (" + defaults.help + ")",
            "registry: --" + name);
    }
  }
}

const Settings::Value& Settings::get(std::string_view name) const {
  for (const Value& value : values_) {
    if (value.spec.name == name) return value;
  }
  fail(ErrorKind::internal, "settings", "the command has no option --", name);
}

const Settings::Value& Settings::get(std::string_view name, OptionKind kind) const {
  const Value& value = get(name);
  check(value.spec.kind == kind, "settings", "--", name, " is read as another kind");
  check(!value.text.empty(), "settings", "--", name, " has no value; ask has() first");
  return value;
}

bool Settings::known(std::string_view name) const {
  return std::any_of(values_.begin(), values_.end(),
                     [&](const Value& value) { return value.spec.name == name; });
}

bool Settings::has(std::string_view name) const { return !get(name).text.empty(); }

bool Settings::flag(std::string_view name) const {
  return get(name, OptionKind::flag).text == "true";
}

std::int64_t Settings::integer(std::string_view name) const {
  return std::strtoll(get(name, OptionKind::integer).text.c_str(), nullptr, 10);
}

double Settings::real(std::string_view name) const {
  return std::strtod(get(name, OptionKind::real).text.c_str(), nullptr);
}

const std::string& Settings::text(std::string_view name) const {
  const Value& value = get(name);
  check(value.spec.kind == OptionKind::text || value.spec.kind == OptionKind::choice, "settings",
        "--", name, " is read as text");
  return value.text;
}

std::vector<std::string> Settings::list(std::string_view name) const {
  const Value& value = get(name);
  check(value.spec.kind == OptionKind::choice_list, "settings", "--", name, " is read as a list");
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin < value.text.size();) {
    const std::size_t end = std::min(value.text.find(',', begin), value.text.size());
    parts.push_back(value.text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

double Settings::seconds(std::string_view name) const {
  return parse_duration(get(name, OptionKind::duration).text).value_or(0);
}

Interval Settings::interval(std::string_view name) const {
  return parse_interval(get(name, OptionKind::interval).text).value_or(Interval{});
}

Origin Settings::origin(std::string_view name) const { return get(name).origin; }

const std::string& Settings::origin_text(std::string_view name) const {
  return get(name).origin_text;
}

void Settings::set(std::string_view name, std::string_view text, Origin origin,
                   std::string origin_text, std::string_view where) {
  for (Value& value : values_) {
    if (value.spec.name != name) continue;
    value.text = canonical_value(value.spec, text, where);
    value.origin = origin;
    value.origin_text = std::move(origin_text);
    return;
  }
  fail(ErrorKind::usage, where, "the command has no option --", name);
}

std::vector<std::string> differing_options(const Settings& a, const Settings& b) {
  std::vector<std::string> names;
  for (const Settings::Value& value : a.values()) {
    if (value.spec.scope != OptionScope::result) continue;
    const bool same = b.known(value.spec.name) &&
                      std::any_of(b.values().begin(), b.values().end(), [&](const auto& other) {
                        return other.spec.name == value.spec.name && other.text == value.text;
                      });
    if (!same) names.push_back(value.spec.name);
  }
  return names;
}

}  // namespace enas
