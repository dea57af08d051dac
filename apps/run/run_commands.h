// The commands that make, continue or extend a run directory.
#pragma once
#include <string>
#include <vector>

#include "apps/run/app.h"
#include "apps/run/session.h"

namespace enas {

// run, search, train: makes the run directory. `run` with an existing one of the same configuration
// continues it.
int start_run(const App& app, const Invocation& call, const std::vector<std::string>& argv);
// resume RUN: continues what was interrupted; a finished run says so.
int resume_run(const App& app, const Invocation& call, const std::string& path);
// derive RUN: (re)writes RUN/arch/ from its shared.safetensors.
int derive_run(const App& app, const Invocation& call);
// correlate RUN: shared-weight scores against stand-alone ones of a fixed sample; writes
// RUN/correlate.json.
int correlate_run(const App& app, const Invocation& call);
// A run of `train` at path with these settings, continued (`go_on`) or made anew; for trainings
// inside another run. The exit code.
int run_in(const App& app, const Workbench& bench, const std::string& path,
           const Settings& settings, const RunRecord& record, bool go_on);

// The run's own settings, with what this call says about execution (threads, budget, checkpoints).
Settings settings_of(const Registry& registry, const RunDirectory& run, const Settings& call);
ConsoleOptions console_options(const Settings& settings);
// Refuses (kind usage) a run that another program made.
void check_program(const App& app, const RunRecord& record, const std::string& path,
                   const std::string& command);
// Says what the data are.
void announce(const Workbench& bench, Console& console);
// The data of a run with these settings, where it found them or where the call says that they lie
// now; announced. Refuses (kind data) what has changed since the run began.
Workbench open_data_of(const App& app, const RunDirectory& run, const Settings& settings,
                       const Settings& call, Console& console);

}  // namespace enas
