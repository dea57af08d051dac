// A run from its first stage to its last: search, derive, train, eval. `run` does all four,
// `search` and `train` one; a stage whose result stands in the run directory is skipped, so a
// resumed run goes on where its checkpoint left it.
#pragma once
#include <optional>
#include <string>

#include "apps/run/app.h"
#include "apps/run/derive_stage.h"
#include "apps/run/session.h"

namespace enas {

// Runs what is left of the session's run; `again`: derives anew with these options instead. Returns
// the exit code; run.json tells how it ended. Throws Error after recording it there.
int execute_run(const App& app, const Workbench& bench, Session& session,
                const std::string& command, const std::optional<DeriveOptions>& again = {});

}  // namespace enas
