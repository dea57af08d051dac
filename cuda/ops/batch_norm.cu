// Kernels of ops/batch_norm.h.
#include "ops/batch_norm.h"

#include "cuda/channels.cuh"
#include "ops/grad_norm.h"

namespace enas::cuda {
namespace {

template <class T>
__global__ void normalise(const T* __restrict__ x, LoadRule<T> rule, int64_t n, T* __restrict__ y) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    y[i] = rule(x[i], static_cast<int>(i % rule.channels));
  }
}

// sums [blocks][2][C] of dz and dz (x - mean).
template <class T>
__global__ void __launch_bounds__(kChannelThreads)
    norm_block_sums(const T* __restrict__ x, const T* __restrict__ dy, const T* __restrict__ keep,
                    int64_t example_rows, LoadRule<T> rule, const ChannelCut cut,
                    T* __restrict__ sums) {
  ENAS_SHARED(bytes);
  const Shared<T> scratch(bytes, 0, kChannelThreads);
  const ChannelThread self(cut);
  const int64_t begin = blockIdx.x * cut.block_rows;
  const int64_t end = begin + cut.block_rows < cut.rows ? begin + cut.block_rows : cut.rows;
  T total = 0, product = 0;
  if (self.works) {
    const T mean = rule.mean(self.channel);
    for (int64_t r = begin + self.first; r < end; r += self.step) {
      const int64_t i = r * cut.channels + self.channel;
      const T in = x[i], up = keep != nullptr ? keep[r / example_rows] * dy[i] : dy[i];
      const T dz = rule.passes(in, self.channel) ? up : T(0);
      total += dz;
      product += dz * (in - mean);
    }
  }
  total = fold_rows(total, cut, self, scratch);
  product = fold_rows(product, cut, self, scratch);
  if (self.works && self.first == 0) {
    T* const out = sums + blockIdx.x * int64_t{2} * cut.channels;
    out[self.channel] = total;
    out[cut.channels + self.channel] = product;
  }
}

constexpr int kRunningItems = 32;  // a launch
template <class T>
struct RunningPointers {
  T *mean[kRunningItems], *variance[kRunningItems];
  const T *batch_mean[kRunningItems], *batch_variance[kRunningItems];
  double unbiased[kRunningItems];
  int64_t channels[kRunningItems];
};

// A block an item.
template <class T>
__global__ void update_running(const RunningPointers<T> items, double decay,
                               const double* __restrict__ gate) {
  if (gate[kGateFinite] != 1) return;
  const unsigned k = blockIdx.x;
  T *const mean = items.mean[k], *const variance = items.variance[k];
  for (int64_t c = threadIdx.x; c < items.channels[k]; c += blockDim.x) {
    const auto m = static_cast<double>(items.batch_mean[k][c]);
    const double v = static_cast<double>(items.batch_variance[k][c]) * items.unbiased[k];
    mean[c] = static_cast<T>(decay * static_cast<double>(mean[c]) + (1 - decay) * m);
    variance[c] = static_cast<T>(decay * static_cast<double>(variance[c]) + (1 - decay) * v);
  }
}

template <class T>
void update_of(std::span<RunningItem> items, double decay, const Tensor& gate) {
  for (size_t first = 0; first < items.size();) {
    RunningPointers<T> at{};
    unsigned count = 0;
    for (; first < items.size() && count < kRunningItems; ++first) {
      RunningItem& item = items[first];
      if (item.mean.dtype() != dtype_of<T>) continue;
      const auto n = static_cast<double>(item.batch.count);
      at.mean[count] = item.mean.data<T>(), at.variance[count] = item.variance.data<T>();
      at.batch_mean[count] = item.batch.mean.data<T>();
      at.batch_variance[count] = item.batch.variance.data<T>();
      at.unbiased[count] = n > 1 ? n / (n - 1) : 1;
      at.channels[count++] = item.mean.numel();
    }
    launch("running_update", update_running<T>, Launch{dim3(count), dim3(kMapThreads)}, at, decay,
           gate.data<double>());
  }
}

}  // namespace

void batch_norm_forward(const Tensor& x, const NormValues& n, Tensor& y) {
  visit_real(x.dtype(), "batch_norm", [&](auto tag) {
    using T = decltype(tag);
    const LoadTable<T> load("batch_norm", n, x.size(-1));
    launch("batch_norm", normalise<T>, map_launch(x.numel()), x.data<T>(), load.rule(), x.numel(),
           y.data<T>());
  });
}

void batch_norm_backward(const Tensor& x, const NormValues& n, const Tensor& dy, const Tensor& keep,
                         const NormGrads& grads) {
  const int64_t channels = x.size(-1), rows = x.numel() / channels;
  const int64_t example = keep.defined() ? x.numel() / x.size(0) : x.numel();
  visit_real(x.dtype(), "batch_norm", [&](auto tag) {
    using T = decltype(tag);
    const LoadTable<T> load("batch_norm", n, channels);
    const ChannelCut cut(rows, channels);
    Scratch sums(static_cast<size_t>(cut.blocks() * 2 * channels) * sizeof(T));
    Scratch table(static_cast<size_t>(3 * channels) * sizeof(T));
    const T* kept = keep.defined() ? keep.data<T>() : nullptr;
    launch("batch_norm", norm_block_sums<T>, cut.launch_with(kChannelThreads * sizeof(T)),
           x.data<T>(), dy.data<T>(), kept, example / channels, load.rule(), cut, sums.as<T>());
    launch("batch_norm", finish_norm_sums<T>, warps_for(channels), sums.as<T>(), cut.blocks(),
           load.rule(), static_cast<double>(rows), n.batch, Out<T>(grads.dscale),
           Out<T>(grads.doffset), table.as<T>());
    if (!grads.dx.wanted()) return;
    launch("batch_norm", norm_gradient<T>, map_launch(x.numel()), x.data<T>(), dy.data<T>(), kept,
           example, load.rule(), table.as<T>(), x.numel(), Out<T>(grads.dx));
  });
}

void running_update(std::span<RunningItem> items, double decay, const Tensor& gate) {
  update_of<float>(items, decay, gate);
  update_of<double>(items, decay, gate);
}

}  // namespace enas::cuda
