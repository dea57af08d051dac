// --plan: what a command would compute and need, printed instead of done.
#pragma once
#include <string>

#include "apps/cifar/options.h"
#include "data/image_set.h"
#include "nas/network_cost.h"

namespace enas {

// Shapes, weights, memory, FLOPs and an estimate of the time of each phase; the rate is that of a
// matrix product measured here and now.
std::string plan_text(const std::string& command, const Settings& settings, const ImageData& data);

// Of a network of the search, and of the one that final training makes of an architecture.
NetworkCost child_cost(const CifarOptions& options, const ImageSpace& space,
                       const ImageShape& shape, const Architecture& arch);
NetworkCost final_cost(const CifarOptions& options, const ImageSpace& space,
                       const ImageShape& shape, const Architecture& arch);

}  // namespace enas
