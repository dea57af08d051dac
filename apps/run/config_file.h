// Configuration files: TOML with one flat table, keys named as the options (docs/interface.md "Run
// directory").
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "apps/run/options.h"

namespace enas {

struct ConfigEntry {
  std::string name;
  std::string text;   // checked and canonical
  std::string where;  // "a.toml:3:1"
};
using ConfigEntries = std::vector<ConfigEntry>;

// The entries in file order. Error `usage` with file, line and column: a syntax error, a key that
// no command knows (with the nearest), a value of another type or out of range. A key of another
// command is checked and left to it, so that one file serves every stage of a run.
ConfigEntries parse_config(const Registry& registry, std::string_view command,
                           std::string_view text, const std::string& path);

}  // namespace enas
