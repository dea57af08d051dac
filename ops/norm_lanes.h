// What the vector loops of a normalisation take: per-channel values expanded to a period
// (ops/lanes.h). Plain data: *.simd.cpp files include this.
#pragma once
#include <cstdint>

namespace enas {

struct NormLanes {
  const float *factor, *shift, *mean;  // z = x factor + shift
  const float *by_dz, *by_x, *rest;    // of backward
  int64_t period;
  bool affine, relu;
};

}  // namespace enas
