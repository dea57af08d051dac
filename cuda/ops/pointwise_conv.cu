// Kernels of ops/pointwise_conv.h: the tiled product of cuda/tiles.cuh over the channels of all
// sources, whose addresses travel as the kernel's parameter.
#include "ops/pointwise_conv.h"

#include "cuda/tiles.cuh"

namespace enas::cuda {
namespace {

constexpr const char* kOp = "pointwise_conv";
constexpr int kMost = 16;  // sources a launch

template <class T>
struct Table {
  const T* at[kMost];
  int past[kMost];  // depth where it ends
  int count;
};
// The entry that depth k belongs to; the last one past the end.
template <class T>
__device__ __forceinline__ int entry_of(const Table<T>& table, int k) {
  int s = 0;
  while (s + 1 < table.count && k >= table.past[s]) ++s;
  return s;
}
template <class T>
__device__ __forceinline__ int start_of(const Table<T>& table, int s) {
  return s == 0 ? 0 : table.past[s - 1];
}

// value(pixel, channel of all sources one after another)
template <class T>
struct SourceRows {
  static constexpr bool kAlongDepth = true;
  using Line = int;
  Table<T> sources;
  int lines;
  bool relu;

  __device__ __forceinline__ Line line(int first) const { return first; }
  __device__ __forceinline__ void fetch(Line line, int k, int end, T (&v)[4]) const {
    int s = entry_of(sources, k), start = start_of(sources, s);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (k + i >= sources.past[s] && s + 1 < sources.count) start = sources.past[s++];
      const int channels = sources.past[s] - start;
      const bool inside = line < lines && k + i < end;
      v[i] = inside ? __ldg(sources.at[s] + int64_t{line} * channels + (k + i - start)) : T(0);
      if (relu && v[i] < T(0)) v[i] = T(0);
    }
  }
};

// value(output channel, channel of all sources): their weights one after another
template <class T>
struct SourceWeights {
  static constexpr bool kAlongDepth = false;
  using Line = int;
  Table<T> weights;
  int lines;

  __device__ __forceinline__ Line line(int first) const { return first; }
  __device__ __forceinline__ void fetch(Line first, int k, int end, T (&v)[4]) const {
    const int s = entry_of(weights, k);
    const T* const row = weights.at[s] + int64_t{k - start_of(weights, s)} * lines;
#pragma unroll
    for (int i = 0; i < 4; ++i) v[i] = k < end && first + i < lines ? __ldg(row + first + i) : T(0);
  }
};

}  // namespace

// More sources than fit a launch: the next one goes on from the sum in y.
void pointwise_conv_forward(Tensor& y, std::span<const Tensor> sources,
                            std::span<const Tensor> weights, bool relu_on_load,
                            ChannelStats* stats) {
  if (y.numel() == 0) return;
  const int64_t rows = y.shape().rows(), co = y.size(3);
  visit_real(y.dtype(), kOp, [&](auto tag) {
    using T = decltype(tag);
    for (size_t first = 0; first < sources.size(); first += kMost) {
      SourceRows<T> x{{}, static_cast<int>(rows), relu_on_load};
      SourceWeights<T> w{{}, static_cast<int>(co)};
      const size_t count = std::min<size_t>(kMost, sources.size() - first);
      int64_t depth = 0;
      for (size_t i = 0; i < count; ++i) {
        depth += weights[first + i].size(0);
        x.sources.at[i] = sources[first + i].template data<T>();
        w.weights.at[i] = weights[first + i].template data<T>();
        x.sources.past[i] = w.weights.past[i] = static_cast<int>(depth);
      }
      x.sources.count = w.weights.count = static_cast<int>(count);
      launch_product(kOp, x, w, TileOutput<T>{y.data<T>(), nullptr, first > 0, 0}, rows, co, depth);
    }
  });
  if (stats != nullptr) channel_stats(y, stats->mean, stats->variance);
}

void pointwise_conv_backward_data(const Tensor& dy, std::span<const Tensor> sources,
                                  std::span<const Tensor> weights, bool relu_on_load,
                                  std::span<const GradOut> dx) {
  const int64_t rows = dy.shape().rows(), co = dy.size(3);
  visit_real(dy.dtype(), kOp, [&](auto tag) {
    using T = decltype(tag);
    SourceRows<T> up{{}, static_cast<int>(rows), false};
    up.sources.at[0] = dy.data<T>();
    up.sources.past[0] = static_cast<int>(co);
    up.sources.count = 1;
    for (size_t i = 0; i < dx.size(); ++i) {
      if (!dx[i].wanted()) continue;
      const int64_t ci = weights[i].size(0);
      const TileOutput<T> out{dx[i].tensor->data<T>(),
                              relu_on_load ? sources[i].template data<T>() : nullptr,
                              dx[i].into == Into::add, 0};
      const TurnedWeights<T> turned{weights[i].template data<T>(), static_cast<int>(ci),
                                    static_cast<int>(co)};
      launch_product(kOp, up, turned, out, rows, ci, co);
    }
  });
}

void pointwise_conv_backward_weight(const Tensor& dy, std::span<const Tensor> sources,
                                    bool relu_on_load, std::span<const GradOut> dw) {
  const int64_t rows = dy.shape().rows(), co = dy.size(3);
  visit_real(dy.dtype(), kOp, [&](auto tag) {
    using T = decltype(tag);
    for (size_t i = 0; i < dw.size(); ++i) {
      if (!dw[i].wanted()) continue;
      const int64_t ci = sources[i].size(3);
      launch_weight_gradient(
          kOp, DepthMajor<T>{sources[i].template data<T>(), static_cast<int>(ci), relu_on_load},
          DepthMajor<T>{dy.data<T>(), static_cast<int>(co)}, dw[i].tensor->data<T>(),
          dw[i].into == Into::add, ci, co, rows);
    }
  });
}

void pointwise_conv_backward(const Tensor& dy, std::span<const Tensor> sources,
                             std::span<const Tensor> weights, bool relu_on_load,
                             std::span<const GradOut> dx, std::span<const GradOut> dw) {
  pointwise_conv_backward_weight(dy, sources, relu_on_load, dw);
  pointwise_conv_backward_data(dy, sources, weights, relu_on_load, dx);
}

}  // namespace enas::cuda
