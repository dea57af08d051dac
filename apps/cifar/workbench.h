// What enas_cifar makes for the stages of a run: convolutional networks of both spaces over one set
// of images.
#pragma once
#include <memory>
#include <string>

#include "apps/run/app.h"
#include "data/image_set.h"

namespace enas {

// Which images of a folder are held out: the same for every --seed, so that searches, trainings and
// correlations of any seed select on the same ones.
inline constexpr uint64_t kHoldOutSeed = 1;

Workbench image_workbench(std::shared_ptr<const ImageData> data);

}  // namespace enas
