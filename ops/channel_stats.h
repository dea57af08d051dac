// Statistics of each channel over a batch, and what stands between a convolution and whoever reads
// it normalised. Channels are the last axis.
//   mean = sum x / M        variance = sum (x - mean)^2 / M        M = elements of one channel
// A reader of `raw` with a normalisation that was left to it (Deferred) applies
//   z = (raw - mean) / sqrt(variance + epsilon) * scale + offset, then relu if wanted
// on load. docs/architecture.md, fusion.
#pragma once
#include <cstdint>

#include "autograd/tape.h"

namespace enas {

// [C] each, variance biased, dtype of x; undefined where nobody asked for them.
struct ChannelStats {
  Tensor mean, variance;
  int64_t count = 0;  // M
};

// An output before its normalisation, with the statistics that its epilogue left.
struct RawConv {
  Var y;
  ChannelStats stats;
};

struct Normalization {
  Var scale, offset;  // [C]
  double epsilon = 1e-5;
  bool relu = false;
};

// batch: the statistics are x's own, the gradient flows through them. running: they are constants.
enum class StatsUse : uint8_t { batch, running };

// A value whose normalisation is left to its next reader, over one edge only.
struct Deferred {
  Var raw;
  ChannelStats stats;
  Normalization n;
  StatsUse use = StatsUse::batch;
};

// Of [..., C], f32 or f64; an op without gradient. A convolution leaves them in its epilogue, from
// the same pieces (ops/channel_moments.h).
ChannelStats channel_stats(const Tensor& x);

namespace cpu {
void channel_stats(const Tensor& x, Tensor& mean, Tensor& variance);
}
namespace cuda {
void channel_stats(const Tensor& x, Tensor& mean, Tensor& variance);
}

}  // namespace enas
