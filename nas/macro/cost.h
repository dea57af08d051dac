// Costs of the macro space's networks from the architecture alone (docs/method.md sections 2.1, 2.4
// and 8).
#pragma once
#include "nas/macro/child.h"
#include "nas/macro/final.h"
#include "nas/network_cost.h"

namespace enas {

// All weights of the search network.
int64_t macro_shared_params(const MacroSpace& space, const MacroChildOptions& options);
// What one architecture uses of them, and does for one image of this side.
NetworkCost macro_child_cost(const MacroSpace& space, const Architecture& arch,
                             const MacroChildOptions& options, int64_t image_size = 32);
NetworkCost macro_final_cost(const MacroSpace& space, const Architecture& arch,
                             const MacroFinalOptions& options, int64_t image_size = 32);

}  // namespace enas
