// Batch statistics of an activation's channels.
//   mean_c = sum y_c / count      variance_c = sum (y_c - mean_c)^2 / count
// Source: docs/method.md (batch normalisation).
#pragma once
#include <cstdint>

#include "autograd/tape.h"

namespace enas {

struct ChannelStats {
  Tensor mean, variance;  // [C], the activation's dtype; undefined where not wanted
  int64_t count = 0;
};

// What a convolution leaves: its output and, where asked for, the statistics of its channels. They
// carry no gradient of their own: the normalisation's backward accounts for them.
struct RawConv {
  Var y;
  ChannelStats stats;
};

}  // namespace enas
