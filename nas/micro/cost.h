// Costs of the micro space's networks from the architecture alone (docs/method.md sections 3.1,
// 3.2, 3.4 and 8).
#pragma once
#include "nas/micro/child.h"
#include "nas/micro/final.h"
#include "nas/network_cost.h"

namespace enas {

// All weights of the search network, the auxiliary head where it has one.
int64_t micro_shared_params(const MicroSpace& space, const MicroChildOptions& options);
// What one architecture uses of them, and does for one image (of options.image_size). The auxiliary
// head, which only training runs, counts among the parameters alone.
NetworkCost micro_child_cost(const MicroSpace& space, const Architecture& arch,
                             const MicroChildOptions& options);
NetworkCost micro_final_cost(const MicroSpace& space, const Architecture& arch,
                             const MicroFinalOptions& options);
// Parameters of an auxiliary head over `channels` channels, images of this side.
int64_t auxiliary_params(int64_t channels, int64_t classes, int64_t image_size);

}  // namespace enas
