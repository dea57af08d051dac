// Batch normalisation over all axes but the last (Ioffe, Szegedy 2015), relu included where wanted.
//   xhat = (x - mean) / sqrt(variance + epsilon)      z = scale xhat + offset      y = z or relu(z)
// With dz = dy (z > 0), r = 1 / sqrt(variance + epsilon) and sums over the M elements of a channel:
//   doffset = sum dz                dscale = sum dz xhat
// and dx, where the statistics are x's own (StatsUse::batch) or constants (StatsUse::running):
//   batch    dx = scale r (dz - sum dz / M - xhat sum(dz xhat) / M)
//   running  dx = scale r dz
// Neither xhat nor the relu's mask is stored: backward forms them again.
#pragma once
#include <span>

#include "ops/channel_stats.h"
#include "ops/grad_out.h"

namespace enas {

// stats: channel_stats(x) or what a convolution's epilogue left; buffers of an earlier time with
// StatsUse::running. Scale, offset and statistics have x's dtype.
Var batch_norm(const Var& x, const ChannelStats& stats, const Normalization& n, StatsUse use);
// The value itself, for readers that know no Deferred.
inline Var materialize(const Deferred& d) { return batch_norm(d.raw, d.stats, d.n, d.use); }

struct RunningItem {
  Tensor mean, variance;  // [C] buffers, f32 (f64 in checks), as the batch's
  ChannelStats batch;
};
// running = decay * running + (1 - decay) * batch, where the batch's variance counts M / (M - 1)
// times (unbiased). A closed gate (ops/grad_norm.h) changes no bit.
void running_update(std::span<RunningItem> items, double decay, const Tensor& gate);

// A normalisation as kernels take it: constants. `mean` undefined: none, x is read as it lies.
struct NormValues {
  Tensor mean, variance, scale, offset;
  double epsilon = 1e-5;
  bool relu = false;
  bool batch = true;  // the gradient flows through the statistics
};
struct NormGrads {
  GradOut dx, dscale, doffset;
};
// Refuses what does not fit x; `op` names who asks.
inline NormValues norm_values(const char* op, const Tensor& x, const ChannelStats& stats,
                              const Normalization& n, StatsUse use) {
  const int64_t channels = x.size(-1);
  const auto fits = [&](const char* what, const Tensor& t) {
    check(t.defined() && t.rank() == 1 && t.size(0) == channels && t.dtype() == x.dtype(), op,
          "needs ", what, " [", channels, "] of ", x.dtype(), " for x ", x.shape(), ", got ",
          t.defined() ? t.dtype() : x.dtype(), " ", t.defined() ? t.shape() : Shape{});
    check(t.device() == x.device(), op, what, " is on the ", t.device(), ", x on the ", x.device());
  };
  fits("a mean", stats.mean), fits("a variance", stats.variance);
  fits("a scale", n.scale.value()), fits("an offset", n.offset.value());
  return {stats.mean, stats.variance, n.scale.value(),       n.offset.value(),
          n.epsilon,  n.relu,         use == StatsUse::batch};
}

namespace cpu {
void batch_norm_forward(const Tensor& x, const NormValues& n, Tensor& y);
// keep [N]: dy of example i counts keep[i] times; undefined: once.
void batch_norm_backward(const Tensor& x, const NormValues& n, const Tensor& dy, const Tensor& keep,
                         const NormGrads& grads);
void running_update(std::span<RunningItem> items, double decay, const Tensor& gate);
}  // namespace cpu
namespace cuda {
void batch_norm_forward(const Tensor& x, const NormValues& n, Tensor& y);
void batch_norm_backward(const Tensor& x, const NormValues& n, const Tensor& dy, const Tensor& keep,
                         const NormGrads& grads);
void running_update(std::span<RunningItem> items, double decay, const Tensor& gate);
}  // namespace cuda

}  // namespace enas
