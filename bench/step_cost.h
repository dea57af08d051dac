// What a step of a search takes, counted from the architectures that run; means over them.
#pragma once

namespace enas::bench {

struct StepCost {
  double flops = 0;    // of a training step: 6 a use of a parameter; its forward pass has a third
  double weights = 0;  // parameters in use
  double reads = 0;    // of parameters in a forward pass: once a time step, once a batch of images

  // Least traffic of f32 weights where no cache keeps them from one read to the next. Training
  // reads them backward too, writes their gradients, and the update reads both and writes one.
  double bytes(bool training) const { return 4 * (training ? 2 * reads + 4 * weights : reads); }
};

}  // namespace enas::bench
