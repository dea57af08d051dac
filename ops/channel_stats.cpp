#include "ops/channel_stats.h"

#include "ops/channel_moments.h"
#include "tensor/dispatch.h"
#include "tensor/thread_pool.h"

namespace enas {

ChannelStats channel_stats(const Tensor& x) {
  constexpr const char* kOp = "channel_stats";
  check(x.defined() && x.rank() >= 1 && x.numel() > 0, kOp,
        "needs [..., C] with at least one row, got ", x.defined() ? x.shape() : Shape{});
  const int64_t channels = x.size(-1);
  ChannelStats stats{Tensor({channels}, x.dtype(), x.device()),
                     Tensor({channels}, x.dtype(), x.device()), x.numel() / channels};
  dispatch<cpu::channel_stats, cuda::channel_stats>(x, stats.mean, stats.variance);
  return stats;
}

void cpu::channel_stats(const Tensor& x, Tensor& mean, Tensor& variance) {
  constexpr int64_t kBlock = 8192;  // elements that stay in L1 for the second visit
  const int64_t channels = x.size(-1), rows = x.numel() / channels;
  const int64_t block = std::max<int64_t>(kBlock / channels, 1);
  const int64_t blocks = (rows + block - 1) / block;
  visit_real(x.dtype(), "channel_stats", [&](auto tag) {
    using T = decltype(tag);
    const T* in = x.data<T>();
    std::vector<T> moments(static_cast<size_t>(blocks * 2 * channels));
    parallel_for(blocks, 2, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const int64_t first = b * block;
        block_moments(in + first * channels, std::min(block, rows - first), channels,
                      moments.data() + b * 2 * channels);
      }
    });
    join_moments(moments.data(), rows, block, channels, mean.data<T>(), variance.data<T>());
  });
}

}  // namespace enas
