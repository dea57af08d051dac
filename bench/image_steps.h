// The three phases of a search in the convolutional spaces as one callable each, on synthetic
// images: the app's own step functions (nas/search.h), nothing of their bodies repeated here.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/step_cost.h"
#include "tensor/device.h"

namespace enas::bench {

struct ImageBenchOptions {
  std::string space = "micro";  // or macro
  // layers: normal cells (micro) or layers (macro); nodes: computed nodes of a cell.
  int64_t layers = 6, filters = 20, nodes = 5, batch = 64, controller_hidden = 64;
  Device device = Device::cpu;
  uint64_t seed = 1;
};

class ImageSteps {
 public:
  virtual ~ImageSteps() = default;
  virtual void shared() = 0;          // sample one architecture, then a training step of it
  virtual void reward() = 0;          // forward pass of one held-out batch
  virtual void controller() = 0;      // one sample, backward, Adam, with a constant reward
  virtual void wait() = 0;            // for the device
  virtual StepCost cost() const = 0;  // multiply-adds inside the image
};
// archs: texts to cycle through; none: a uniform sample.
std::unique_ptr<ImageSteps> image_steps(const ImageBenchOptions& options,
                                        const std::vector<std::string>& archs);

}  // namespace enas::bench
