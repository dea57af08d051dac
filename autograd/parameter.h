// Parameter: a trainable tensor that outlives every tape. Its gradient exists only after a backward
// pass that used it.
#pragma once
#include <cstdint>
#include <string>

#include "tensor/tensor.h"

namespace enas {

struct Parameter {
  std::string name;  // dotted: "cell.edge.3.1.tanh"
  Tensor value;
  Tensor grad;  // undefined unless the last backward reached this parameter

  // The leaf of the tape that used it last: makes Tape::use one hash-free look-up.
  uint64_t tape_generation = 0;
  int32_t slot = -1;
};

}  // namespace enas
