// --plan: what a command would compute and need, printed instead of done.
#pragma once
#include <string>

#include "apps/run/options.h"
#include "data/image_set.h"

namespace enas {

// Shapes, weights, memory, FLOPs and an estimate of the time of each phase; the rate is that of a
// matrix product measured here and now.
std::string plan_text(const std::string& command, const Settings& settings, const ImageData& data);

}  // namespace enas
