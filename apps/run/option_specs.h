// Short ways to write an OptionSpec: an app's table of options is made of these.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "apps/run/options.h"

namespace enas {

inline OptionSpec integer_option(std::string name, std::string value, double low, double high,
                                 std::string help, std::string source, std::string group,
                                 std::string unit = "") {
  return {.name = std::move(name),
          .kind = OptionKind::integer,
          .default_value = std::move(value),
          .unit = std::move(unit),
          .minimum = low,
          .maximum = high,
          .help = std::move(help),
          .source = std::move(source),
          .group = std::move(group)};
}
inline OptionSpec real_option(std::string name, std::string value, double low, double high,
                              std::string help, std::string source, std::string group) {
  return {.name = std::move(name),
          .kind = OptionKind::real,
          .default_value = std::move(value),
          .minimum = low,
          .maximum = high,
          .help = std::move(help),
          .source = std::move(source),
          .group = std::move(group)};
}
inline OptionSpec flag_option(std::string name, std::string help, std::string source,
                              std::string group) {
  return {.name = std::move(name),
          .kind = OptionKind::flag,
          .help = std::move(help),
          .source = std::move(source),
          .group = std::move(group)};
}
inline OptionSpec choice_option(std::string name, std::string value,
                                std::vector<std::string> choices, std::string help,
                                std::string source, std::string group) {
  return {.name = std::move(name),
          .kind = OptionKind::choice,
          .default_value = std::move(value),
          .choices = std::move(choices),
          .help = std::move(help),
          .source = std::move(source),
          .group = std::move(group)};
}
inline OptionSpec text_option(std::string name, std::string unit, std::string help,
                              std::string source, std::string group) {
  return {.name = std::move(name),
          .unit = std::move(unit),
          .help = std::move(help),
          .source = std::move(source),
          .group = std::move(group)};
}
// The same for these commands alone.
inline OptionSpec of(OptionSpec spec, std::vector<std::string> commands) {
  spec.commands = std::move(commands);
  return spec;
}

}  // namespace enas
