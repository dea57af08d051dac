// Kernels of ops/channel_stats.h.
#include "ops/channel_stats.h"

#include "cuda/channels.cuh"

namespace enas::cuda {
namespace {

template <class T>
struct Lies {
  const T* x;
  __device__ T first(int64_t i, int64_t, int) const { return x[i]; }
  __device__ T again(int64_t i) const { return x[i]; }
};

}  // namespace

void channel_stats(const Tensor& x, Tensor& mean, Tensor& variance) {
  visit_real(x.dtype(), "channel_stats", [&](auto tag) {
    using T = decltype(tag);
    ChannelStats stats{mean, variance, 0};
    launch_moments<T>("channel_stats", Lies<T>{x.data<T>()}, x.numel() / x.size(-1), x.size(-1),
                      stats);
  });
}

}  // namespace enas::cuda
