// --plan --device cuda: a step of each phase that is counted instead of run (tensor/gpu.h), on any
// machine.
#pragma once
#include <string>

#include "apps/run/options.h"
#include "data/text.h"

namespace enas {

// Launches, products, uploads and memory of one step, and the least time that it takes on cards
// whose rates are stated. Only where the build has CUDA kernels, and while no tensor lives on the
// device.
std::string device_plan_text(const std::string& command, const Settings& settings,
                             const Corpus& corpus);

}  // namespace enas
