// --plan --device cuda: a step of each phase that is counted instead of run (tensor/gpu.h), on any
// machine. Network, data and step are those of a run: the app's own Learner.
#pragma once
#include <functional>
#include <string>

#include "apps/run/app.h"

namespace enas {

// Of one architecture of a phase, by the app's formulas.
struct PlanCost {
  double macs = 0;    // multiply-adds of an item (token, image), forward
  double params = 0;  // that a step updates
};
struct PlanCosts {
  std::function<PlanCost(const Architecture&)> search, train;
};

// Launches, products, uploads and memory of one step, and the least time that it takes on cards
// whose rates are stated. Only where the build has CUDA kernels, and while no tensor lives on the
// device.
std::string device_plan_text(const Workbench& bench, const std::string& command,
                             const Settings& settings, const PlanCosts& costs);

}  // namespace enas
