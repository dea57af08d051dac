// A run from its first stage to its last: search, derive, train, eval. `run` does all four,
// `search` and `train` one; a stage whose result stands in the run directory is skipped, so a
// resumed run goes on where its checkpoint left it.
#pragma once
#include <string>
#include <vector>

#include "apps/run/options.h"

namespace enas {

// run, search, train: makes the run directory. `run` with an existing one of the same configuration
// continues it.
int start_run(const Registry& registry, const Invocation& call,
              const std::vector<std::string>& argv);
// resume RUN: continues what was interrupted; a finished run says so.
int resume_run(const Registry& registry, const Invocation& call, const std::string& path);
// derive RUN: (re)writes RUN/arch/ from its shared.safetensors.
int derive_run(const Registry& registry, const Invocation& call);

}  // namespace enas
