// See config_file.h; the one user of toml++. resolved_toml writes by hand, since each value carries
// a comment.
#include "apps/run/config_file.h"

#include <toml++/toml.h>
#include <algorithm>

#include "tensor/check.h"

namespace enas {
namespace {

// toml++ frees nested tables by recursion. It limits nested values itself but not dotted keys.
constexpr int kMostDots = 2000;

// The end of a TOML string that begins with a quote at `at`: of one line, or of several where the
// quote stands there three times.
size_t string_end(std::string_view text, size_t at) {
  const char quote = text[at];
  const std::string triple(3, quote);
  const bool several = text.substr(at, 3) == triple;
  for (size_t i = at + (several ? 3 : 1); i < text.size(); ++i) {
    if (text[i] == '\\' && quote == '"') {
      ++i;
    } else if (several && text.substr(i, 3) == triple) {
      size_t end = i + 3;  // up to two quotes before the closing three belong to the string
      while (end < std::min(i + 5, text.size()) && text[end] == quote) ++end;
      return end;
    } else if (!several && (text[i] == quote || text[i] == '\n')) {
      return i + 1;
    }
  }
  return text.size();
}

// Dots outside strings and comments: each level of a dotted key costs one.
int count_dots(std::string_view text) {
  int dots = 0;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '#') {
      i = std::min(text.find('\n', i), text.size());
    } else if (text[i] == '"' || text[i] == '\'') {
      i = string_end(text, i);
    } else {
      dots += text[i++] == '.';
    }
  }
  return dots;
}

std::string place(const std::string& path, const toml::source_region& region) {
  return path + ":" + std::to_string(region.begin.line) + ":" + std::to_string(region.begin.column);
}

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a float";
    case toml::node_type::boolean:
      return "a boolean";
    default:
      return "a date or time";
  }
}

std::string_view expected_type(OptionKind kind) {
  switch (kind) {
    case OptionKind::flag:
      return "a boolean";
    case OptionKind::integer:
      return "an integer";
    case OptionKind::real:
      return "a number";
    case OptionKind::choice_list:
      return "an array of strings";
    default:
      return "a string";
  }
}

[[noreturn]] void refuse_type(const OptionSpec& spec, const toml::node& node,
                              const std::string& where) {
  fail(ErrorKind::usage, where + ": " + spec.name, "found ", type_name(node), ", expected ",
       expected_type(spec.kind));
}

// The value as an option would have been typed.
std::string node_text(const OptionSpec& spec, const toml::node& node, const std::string& where) {
  switch (spec.kind) {
    case OptionKind::flag:
      if (!node.is_boolean()) refuse_type(spec, node, where);
      return node.as_boolean()->get() ? "true" : "false";
    case OptionKind::integer:
      if (!node.is_integer()) refuse_type(spec, node, where);
      return std::to_string(node.as_integer()->get());
    case OptionKind::real:
      if (node.is_integer()) return std::to_string(node.as_integer()->get());
      if (!node.is_floating_point()) refuse_type(spec, node, where);
      return shortest(node.as_floating_point()->get());
    case OptionKind::choice_list: {
      if (!node.is_array()) refuse_type(spec, node, where);
      std::string text;
      for (const toml::node& element : *node.as_array()) {
        if (!element.is_string()) refuse_type(spec, node, where);
        text += (text.empty() ? "" : ",") + element.as_string()->get();
      }
      return text;
    }
    default:
      if (!node.is_string()) refuse_type(spec, node, where);
      return node.as_string()->get();
  }
}

// The option of this command, or else of any command that knows the name.
const OptionSpec* find_anywhere(const Registry& registry, std::string_view name,
                                std::string_view command) {
  if (const OptionSpec* spec = registry.find(name, command)) return spec;
  const std::vector<std::string> commands = registry.commands_with(name);
  return commands.empty() ? nullptr : registry.find(name, commands.front());
}

[[noreturn]] void refuse_key(const Registry& registry, std::string_view command,
                             std::string_view name, const std::string& where) {
  std::vector<std::string> known;
  for (const OptionSpec* option : registry.options_of(command)) known.push_back(option->name);
  const std::vector<std::string> near = nearest_names(name, known);
  fail(ErrorKind::usage, where, "unknown key ", name,
       near.empty() ? "" : "; nearest: ", near.empty() ? "" : near.front(),
       "; expected the name of an option of ", registry.program(), " ", command);
}

std::string toml_string(std::string_view text) {
  std::string quoted = "\"";
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      quoted += "\\u00";
      quoted += kHex[byte >> 4];
      quoted += kHex[byte & 15];
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::string toml_value(const Settings& settings, const Settings::Value& value) {
  switch (value.spec.kind) {
    case OptionKind::flag:
    case OptionKind::integer:
    case OptionKind::real:
      return value.text;
    case OptionKind::choice_list: {
      std::string text = "[";
      for (const std::string& part : settings.list(value.spec.name)) {
        text += (text.size() == 1 ? "" : ", ") + toml_string(part);
      }
      return text + "]";
    }
    default:
      return toml_string(value.text);
  }
}

// A comment ends at the line's end, so nothing in it may end the line.
std::string comment(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return text;
}

}  // namespace

ConfigEntries parse_config(const Registry& registry, std::string_view command,
                           std::string_view text, const std::string& path) {
  const int dots = count_dots(text);
  check(dots <= kMostDots, ErrorKind::usage, path, "found ", dots, " dots; expected at most ",
        kMostDots, " outside texts and comments, as a flat table has no dotted keys");
  toml::table table;
  try {
    table = toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    fail(ErrorKind::usage, place(path, error.source()), error.description());
  }
  std::vector<std::pair<toml::source_position, ConfigEntry>> entries;
  for (const auto& [key, node] : table) {
    const std::string where = place(path, key.source());
    const OptionSpec* spec = find_anywhere(registry, key.str(), command);
    if (spec == nullptr || key.str() == "config") {
      refuse_key(registry, command, key.str(), where);
    }
    const std::string value = node_text(*spec, node, where);
    entries.push_back(
        {key.source().begin,
         {spec->name, canonical_value(*spec, value, where + ": " + spec->name), where}});
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  ConfigEntries ordered;
  for (auto& entry : entries) ordered.push_back(std::move(entry.second));
  return ordered;
}

std::string result_toml(const Settings& settings) {
  std::string text;
  for (const Settings::Value& value : settings.values()) {
    if (value.spec.scope != OptionScope::result || value.spec.name == "data") continue;
    if (value.text.empty()) continue;
    text += value.spec.name + " = " + toml_value(settings, value) + "\n";
  }
  return text;
}

std::string resolved_toml(const Settings& settings) {
  std::string text = "# Resolved configuration: fed back by --config it gives the same values.\n";
  std::vector<std::string> groups;
  for (const Settings::Value& value : settings.values()) {
    if (std::find(groups.begin(), groups.end(), value.spec.group) == groups.end()) {
      groups.push_back(value.spec.group);
    }
  }
  for (const std::string& group : groups) {
    std::string lines;
    for (const Settings::Value& value : settings.values()) {
      if (value.spec.group != group || value.spec.scope == OptionScope::invocation) continue;
      if (value.text.empty() && value.spec.kind != OptionKind::choice_list) continue;
      lines += value.spec.name + " = " + toml_value(settings, value) + "  # " +
               comment(value.origin_text) + "\n";
    }
    if (!lines.empty()) text += "\n# " + comment(group) + "\n" + lines;
  }
  return text;
}

}  // namespace enas
