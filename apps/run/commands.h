// The commands of an app (docs/interface.md): what both have, and those of its own.
#pragma once
#include <string>

#include "apps/run/app.h"

namespace enas {

// Parses the command line and runs the command. The program's exit code, or throws Error.
int run_command(const App& app, int argc, const char* const* argv);

// A weight file with the data it belongs to: a run directory knows both. Refuses (kind usage) what
// holds no final weights.
struct WeightSource {
  std::string file, data;
};
WeightSource weight_source(const App& app, const std::string& command, const std::string& weights,
                           const std::string& data);
// Of a text option; empty where it is not set.
std::string text_or_empty(const Settings& settings, const char* name);

}  // namespace enas
