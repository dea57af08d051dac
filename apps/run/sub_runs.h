// Trainings inside another run's directory, each a complete run of its own: RUN/retrain-R,
// RUN/random, RUN/seed-S. A finished one is not repeated, an interrupted one goes on.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "apps/run/app.h"
#include "apps/run/session.h"

namespace enas {

struct SubRun {
  std::string folder;  // "seed-2", under the parent's directory
  std::string arch;    // its text
  uint64_t seed = 1;
  double budget = 0;   // seconds; 0: none
  int64_t epochs = 0;  // 0: as the parent's options say
  bool test = true;    // reads the test part too; not where validation alone compares
};
struct SubResult {
  std::string folder, arch;
  double valid = 0, test = 0;  // figures; NaN: not finite, or test was not read
};

// The settings of `train` for a part of a run: its train- options, or for a `train` with several
// seeds its own.
Settings train_settings(const Registry& registry, const Settings& parent,
                        const std::string& command);
// Runs or continues it; nothing where a signal came.
std::optional<SubResult> train_sub_run(const App& app, const Workbench& bench, Session& parent,
                                       const std::string& command, const SubRun& sub);
// Runs them in turn; nothing where a signal came. Prints mean and spread, of the test figures where
// all have one.
std::optional<std::vector<SubResult>> train_sub_runs(const App& app, const Workbench& bench,
                                                     Session& parent, const std::string& command,
                                                     const std::vector<SubRun>& subs);

// RUN/eval.json, written when a run has evaluated its model: {"valid": figure, "test": figure},
// null for NaN.
void write_eval(const std::string& run, double valid, double test);
SubResult read_eval(const std::string& run, const std::string& program);

// Architecture texts of arch/top.json, best first; under a controller only its own.
std::vector<std::string> top_architectures(const std::string& path, int64_t most,
                                           const std::string& program);

}  // namespace enas
