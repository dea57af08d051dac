// Kernels of ops/separable_conv.h. Forward is one: a block loads, normalises and convolves a tile
// of pixels into shared memory, multiplies it by the pointwise weights and leaves the tile's
// moments. Backward forms t and dt = dy P^T in scratch (products by cuBLAS), then runs the kernels
// of cuda/depthwise.cuh.
#include "ops/separable_conv.h"

#include "cuda/blas.h"
#include "cuda/depthwise.cuh"

namespace enas::cuda {
namespace {

constexpr int kTile = 32;  // output pixels a block, neighbours in one image
constexpr int kGroup = 8;  // of them that one thread multiplies

// tiles [C] of t: kTile pixels, then [Cout] of y. Two blocks a multiprocessor: the compiler's own
// choice of registers spills in f64.
template <class T>
__global__ void __launch_bounds__(kChannelThreads, 2)
    separable_tile(const DepthwiseShape s, LoadRule<T> rule, int out, const T* __restrict__ x,
                   const T* __restrict__ depthwise, const T* __restrict__ pointwise,
                   T* __restrict__ y, T* __restrict__ moments, T whole, T last) {
  ENAS_SHARED(bytes);
  const auto inputs = static_cast<size_t>(kTile * s.channels);
  const Shared<T> t(bytes, 0, inputs);
  const Shared<T> tile(bytes, sizeof(T) * inputs, static_cast<size_t>(kTile * out));
  const int pixels = s.out_height * s.out_width, tiles = (pixels + kTile - 1) / kTile;
  const int block = static_cast<int>(blockIdx.x), first = block % tiles * kTile;
  const int64_t image = block / tiles;
  const int count = pixels - first < kTile ? pixels - first : kTile;
  const T share = count == kTile ? whole : last;  // 1 / count
  const int threads = static_cast<int>(blockDim.x), self = static_cast<int>(threadIdx.x);
  for (int i = self; i < kTile * s.channels; i += threads) {
    const int pixel = i / s.channels, at = first + pixel;
    const T value = pixel < count ? depthwise_at(s, rule, x + image * s.image(), depthwise,
                                                 at / s.out_width, at % s.out_width, i % s.channels)
                                  : T(0);
    t.set(static_cast<size_t>(i), value);
  }
  __syncthreads();
  for (int i = self; i < kTile / kGroup * out; i += threads) {
    const int o = i % out, begin = i / out * kGroup;
    T sum[kGroup];
#pragma unroll
    for (int k = 0; k < kGroup; ++k) sum[k] = 0;
#pragma unroll 2
    for (int c = 0; c < s.channels; ++c) {
      const T w = __ldg(pointwise + c * out + o);
#pragma unroll
      for (int k = 0; k < kGroup; ++k) {
        sum[k] += t.get(static_cast<size_t>((begin + k) * s.channels + c)) * w;
      }
    }
#pragma unroll
    for (int k = 0; k < kGroup; ++k) {
      if (begin + k >= count) continue;
      y[(image * pixels + first + begin + k) * out + o] = sum[k];
      tile.set(static_cast<size_t>((begin + k) * out + o), sum[k]);
    }
  }
  if (moments == nullptr) return;
  __syncthreads();
  for (int o = self; o < out; o += threads) {
    T mean = 0, square = 0;
    for (int k = 0; k < count; ++k) mean += tile.get(static_cast<size_t>(k * out + o));
    mean *= share;
    for (int k = 0; k < count; ++k) {
      const T d = tile.get(static_cast<size_t>(k * out + o)) - mean;
      square += d * d;
    }
    moments[blockIdx.x * int64_t{2} * out + o] = mean;
    moments[(blockIdx.x * int64_t{2} + 1) * out + o] = square;
  }
}

template <class T>
void forward(const Tensor& x, const SeparableValues& v, Tensor& y, ChannelStats& stats) {
  const ImageWindow g = image_window(x.shape(), v.window);
  const int64_t out = v.pointwise.size(1), tiles = (g.out_pixels() + kTile - 1) / kTile;
  const int64_t blocks = g.images * tiles;
  const bool wanted = stats.mean.defined();
  const LoadTable<T> load("separable_conv", v.norm, g.channels);
  Scratch moments(wanted ? static_cast<size_t>(blocks * 2 * out) * sizeof(T) : 0);
  const Launch how{dim3(static_cast<unsigned>(blocks)), dim3(kChannelThreads),
                   sizeof(T) * static_cast<size_t>(kTile * (g.channels + out))};
  launch("separable_conv", separable_tile<T>, how, DepthwiseShape(g), load.rule(),
         static_cast<int>(out), x.data<T>(), v.depthwise.data<T>(), v.pointwise.data<T>(),
         y.data<T>(), wanted ? moments.as<T>() : nullptr, T(1) / T(kTile),
         T(1) / static_cast<T>(g.out_pixels() - (tiles - 1) * kTile));
  if (wanted) {
    launch_join<T>("separable_conv", moments.as<T>(), blocks,
                   {static_cast<int>(tiles), kTile, g.out_pixels()}, out, stats);
  }
}

// dz and its sums, then dx.
template <class T>
void data_backward(const ImageWindow& g, const Tensor& x, const SeparableValues& v,
                   const LoadRule<T>& rule, const T* dt, const SeparableGrads& grads) {
  const ChannelCut cut(g.images * g.height * g.width, g.channels);
  const T *in = x.data<T>(), *w = v.depthwise.data<T>();
  if (rule.table == nullptr) {
    if (!grads.dx.wanted()) return;
    return launch_depthwise_data<T>("separable_conv", g, rule, cut, in, w, dt, Out<T>(grads.dx),
                                    nullptr);
  }
  const bool beside = !grads.dx.wanted() || grads.dx.into == Into::add;
  Tensor dz = beside ? empty_like(x) : *grads.dx.tensor;
  Scratch sums(static_cast<size_t>(cut.blocks() * 2 * g.channels) * sizeof(T));
  Scratch table(static_cast<size_t>(3 * g.channels) * sizeof(T));
  launch_depthwise_data<T>("separable_conv", g, rule, cut, in, w, dt,
                           Out<T>(GradOut{&dz, Into::write}), sums.as<T>());
  launch("separable_conv", finish_norm_sums<T>, warps_for(g.channels), sums.as<T>(), cut.blocks(),
         rule, static_cast<double>(cut.rows), v.norm.batch, Out<T>(grads.dscale),
         Out<T>(grads.doffset), table.as<T>());
  if (!grads.dx.wanted()) return;
  LoadRule<T> passed = rule;  // the mask is in dz already
  passed.relu = false;
  const T* none = nullptr;
  launch("separable_conv", norm_gradient<T>, map_launch(x.numel()), in, dz.data<T>(), none,
         x.numel(), passed, table.as<T>(), x.numel(), Out<T>(grads.dx));
}

template <class T>
void backward(const Tensor& x, const SeparableValues& v, const Tensor& dy,
              const SeparableGrads& grads) {
  const ImageWindow g = image_window(x.shape(), v.window);
  const int64_t out = v.pointwise.size(1), rows = g.images * g.out_pixels();
  const LoadTable<T> load("separable_conv", v.norm, g.channels);
  const T *in = x.data<T>(), *up = dy.data<T>(), *p = v.pointwise.data<T>();
  Scratch scratch(static_cast<size_t>(rows * g.channels) * sizeof(T));
  T* const t = scratch.as<T>();
  if (grads.dpointwise.wanted()) {
    launch_depthwise<T>("separable_conv", g, load.rule(), in, v.depthwise.data<T>(), t);
    gemm<T>("separable_conv", true, false, g.channels, out, rows, t, g.channels, up, out,
            grads.dpointwise.into == Into::add ? T{1} : T{0}, grads.dpointwise.tensor->data<T>(),
            out);
  }
  gemm<T>("separable_conv", false, true, rows, g.channels, out, up, out, p, out, T{0}, t,
          g.channels);
  launch_depthwise_weights<T>("separable_conv", g, load.rule(), in, t, grads.ddepthwise);
  data_backward<T>(g, x, v, load.rule(), t, grads);
}

}  // namespace

void separable_conv_forward(const Tensor& x, const SeparableValues& v, Tensor& y,
                            ChannelStats& stats) {
  visit_real(x.dtype(), "separable_conv",
             [&](auto tag) { forward<decltype(tag)>(x, v, y, stats); });
}

void separable_conv_backward(const Tensor& x, const SeparableValues& v, const Tensor& dy,
                             const SeparableGrads& grads) {
  visit_real(x.dtype(), "separable_conv",
             [&](auto tag) { backward<decltype(tag)>(x, v, dy, grads); });
}

}  // namespace enas::cuda
