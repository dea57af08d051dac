// One forward pass of a convolutional network: what is switched on, and what comes out.
#pragma once
#include <cstdint>

#include "autograd/tape.h"

namespace enas {

struct PassMode {
  bool dropout = false;    // before the head
  double progress = 0;     // of training, in (0, 1], for the drop-path schedule; 0: no drop path
  bool auxiliary = false;  // logits of the auxiliary head, where the network has one
  bool running = false;    // normalise with running statistics, not with the batch's
  bool collect = false;    // keep the batch's statistics for the running ones
  uint64_t seed = 1, draw = 0;  // of the masks: pure functions of both
};

struct Logits {
  Var logits;     // [N, classes]
  Var auxiliary;  // likewise; of no value where nobody asked or the network has none
};

}  // namespace enas
