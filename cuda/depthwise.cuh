// Kernels of depthwise convolution that cuda/ops/depthwise_conv2d.cu and separable_conv.cu share. A
// thread has one element, channels are neighbours: loads of a warp are contiguous, and the K x K
// taps of near pixels come from L1. Two blocks a multiprocessor, said to the compiler, keep its
// registers from being spilled.
#pragma once
#include "cuda/channels.cuh"
#include "ops/depthwise_image.h"

namespace enas::cuda {

// An ImageWindow in 32 bits, all that indices inside an image need.
struct DepthwiseShape {
  int64_t images;
  int height, width, channels, out_height, out_width, kernel, stride, top, left;
  explicit DepthwiseShape(const ImageWindow& g)
      : images(g.images),
        height(static_cast<int>(g.height)),
        width(static_cast<int>(g.width)),
        channels(static_cast<int>(g.channels)),
        out_height(static_cast<int>(g.out_height)),
        out_width(static_cast<int>(g.out_width)),
        kernel(static_cast<int>(g.kernel)),
        stride(static_cast<int>(g.stride)),
        top(static_cast<int>(g.top)),
        left(static_cast<int>(g.left)) {}
  __device__ __forceinline__ int64_t image() const { return int64_t{height} * width * channels; }
  __device__ __forceinline__ int64_t out_image() const {
    return int64_t{out_height} * out_width * channels;
  }
};

// The output at (i, j, c) of the image x.
template <class T>
__device__ __forceinline__ T depthwise_at(const DepthwiseShape& s, const LoadRule<T>& rule,
                                          const T* __restrict__ x, const T* __restrict__ w, int i,
                                          int j, int c) {
  T sum = 0;
  for (int ky = 0; ky < s.kernel; ++ky) {
    const int r = i * s.stride - s.top + ky;
    if (r < 0 || r >= s.height) continue;
    for (int kx = 0; kx < s.kernel; ++kx) {
      const int q = j * s.stride - s.left + kx;
      if (q < 0 || q >= s.width) continue;
      sum += rule(__ldg(x + (r * s.width + q) * s.channels + c), c) *
             __ldg(w + (ky * s.kernel + kx) * s.channels + c);
    }
  }
  return sum;
}

template <class T>
__global__ void depthwise_forward(const DepthwiseShape s, LoadRule<T> rule, const T* __restrict__ x,
                                  const T* __restrict__ w, T* __restrict__ y) {
  const int64_t n = s.images * s.out_image();
  for (int64_t at = thread_index(); at < n; at += thread_count()) {
    const int64_t image = at / s.out_image();
    const int in = static_cast<int>(at % s.out_image());
    const int c = in % s.channels, pixel = in / s.channels;
    y[at] = depthwise_at(s, rule, x + image * s.image(), w, pixel / s.out_width,
                         pixel % s.out_width, c);
  }
}

// parts [blocks][K K][C] of dw, from the block's output pixels. X taps of a kernel row a thread
// along z: all K of them, or one.
template <class T, int X>
__global__ void __launch_bounds__(kChannelThreads, 2)
    depthwise_weight_parts(const DepthwiseShape s, LoadRule<T> rule, const ChannelCut cut,
                           const T* __restrict__ x, const T* __restrict__ dt,
                           T* __restrict__ parts) {
  ENAS_SHARED(bytes);
  const Shared<T> scratch(bytes, 0, kChannelThreads);
  const ChannelThread self(cut);
  const int tap = static_cast<int>(blockIdx.z) * X, ky = tap / s.kernel, kx0 = tap % s.kernel;
  const int64_t begin = blockIdx.x * cut.block_rows;
  const int64_t end = begin + cut.block_rows < cut.rows ? begin + cut.block_rows : cut.rows;
  T sum[X];
#pragma unroll
  for (int k = 0; k < X; ++k) sum[k] = 0;
  if (self.works) {
    const int pixels = s.out_height * s.out_width;
    for (int64_t r = begin + self.first; r < end; r += self.step) {
      const int64_t image = r / pixels;
      const int pixel = static_cast<int>(r % pixels);
      const int y = pixel / s.out_width * s.stride - s.top + ky;
      if (y < 0 || y >= s.height) continue;
      const int q0 = pixel % s.out_width * s.stride - s.left + kx0;
      const T up = dt[r * s.channels + self.channel];
      const T* row = x + image * s.image() + int64_t{y} * s.width * s.channels + self.channel;
#pragma unroll
      for (int k = 0; k < X; ++k) {
        const int q = q0 + k;
        if (q >= 0 && q < s.width) sum[k] += rule(__ldg(row + q * s.channels), self.channel) * up;
      }
    }
  }
#pragma unroll
  for (int k = 0; k < X; ++k) {
    const T total = fold_rows(sum[k], cut, self, scratch);
    if (self.works && self.first == 0) {
      parts[(blockIdx.x * int64_t{s.kernel} * s.kernel + tap + k) * s.channels + self.channel] =
          total;
    }
  }
}

// out[i] (+)= the sum of parts[b][i] over b, a warp an element, in a fixed tree.
template <class T>
__global__ void __launch_bounds__(kRowThreads)
    fold_parts(const T* __restrict__ parts, int blocks, int64_t n, Out<T> out) {
  const int first = static_cast<int>(lane_index());
  for (int64_t i = warp_index(); i < n; i += warp_stride()) {
    T total = 0;
    for (int b = first; b < blocks; b += static_cast<int>(kWarp)) total += parts[b * n + i];
    total = warp_reduce<Sum>(total);
    if (first == 0) out.put(i, total);
  }
}

// dz (+)= the gradient at each input where z passes; with `sums` [blocks][2][C] its sums.
template <class T>
__global__ void __launch_bounds__(kChannelThreads, 2)
    depthwise_data(const DepthwiseShape s, LoadRule<T> rule, const ChannelCut cut,
                   const T* __restrict__ x, const T* __restrict__ w, const T* __restrict__ dt,
                   Out<T> dz, T* __restrict__ sums) {
  ENAS_SHARED(bytes);
  const Shared<T> scratch(bytes, 0, kChannelThreads);
  const ChannelThread self(cut);
  const int64_t begin = blockIdx.x * cut.block_rows;
  const int64_t end = begin + cut.block_rows < cut.rows ? begin + cut.block_rows : cut.rows;
  T total = 0, product = 0;
  if (self.works) {
    const int pixels = s.height * s.width;
    const T mean = rule.mean(self.channel);
    for (int64_t r = begin + self.first; r < end; r += self.step) {
      const int64_t image = r / pixels;
      const int y = static_cast<int>(r % pixels) / s.width + s.top;
      const int q = static_cast<int>(r % pixels) % s.width + s.left;
      const T* up = dt + image * s.out_image() + self.channel;
      T da = 0;
      for (int ky = 0; ky < s.kernel; ++ky) {
        const int i = (y - ky) / s.stride;
        if (y < ky || i * s.stride != y - ky || i >= s.out_height) continue;
        for (int kx = 0; kx < s.kernel; ++kx) {
          const int j = (q - kx) / s.stride;
          if (q < kx || j * s.stride != q - kx || j >= s.out_width) continue;
          da += __ldg(up + (i * s.out_width + j) * s.channels) *
                __ldg(w + (ky * s.kernel + kx) * s.channels + self.channel);
        }
      }
      const int64_t at = r * s.channels + self.channel;
      const T in = x[at], passed = rule.passes(in, self.channel) ? da : T(0);
      dz.put(at, passed);
      total += passed;
      product += passed * (in - mean);
    }
  }
  if (sums == nullptr) return;
  total = fold_rows(total, cut, self, scratch);
  product = fold_rows(product, cut, self, scratch);
  if (self.works && self.first == 0) {
    T* const out = sums + blockIdx.x * int64_t{2} * cut.channels;
    out[self.channel] = total;
    out[cut.channels + self.channel] = product;
  }
}

template <class T>
void launch_depthwise(const char* op, const ImageWindow& g, const LoadRule<T>& rule, const T* x,
                      const T* w, T* y) {
  launch(op, depthwise_forward<T>, map_launch(g.images * g.out_size()), DepthwiseShape(g), rule, x,
         w, y);
}

template <class T>
void launch_depthwise_weights(const char* op, const ImageWindow& g, const LoadRule<T>& rule,
                              const T* x, const T* dt, const GradOut& dw) {
  if (!dw.wanted()) return;
  ChannelCut cut(g.images * g.out_pixels(), g.channels);
  const int64_t blocks = cut.blocks(), taps = g.kernel * g.kernel;
  Scratch parts(static_cast<size_t>(blocks * g.weights()) * sizeof(T));
  const size_t shared = kChannelThreads * sizeof(T);
  const auto rows = static_cast<unsigned>(g.kernel), all = static_cast<unsigned>(taps);
  if (g.kernel == 3) {
    launch(op, depthwise_weight_parts<T, 3>, cut.launch_with(shared, rows), DepthwiseShape(g), rule,
           cut, x, dt, parts.as<T>());
  } else if (g.kernel == 5) {
    launch(op, depthwise_weight_parts<T, 5>, cut.launch_with(shared, rows), DepthwiseShape(g), rule,
           cut, x, dt, parts.as<T>());
  } else {
    launch(op, depthwise_weight_parts<T, 1>, cut.launch_with(shared, all), DepthwiseShape(g), rule,
           cut, x, dt, parts.as<T>());
  }
  launch(op, fold_parts<T>, warps_for(g.weights()), parts.as<T>(), static_cast<int>(blocks),
         g.weights(), Out<T>(dw));
}

template <class T>
void launch_depthwise_data(const char* op, const ImageWindow& g, const LoadRule<T>& rule,
                           const ChannelCut& cut, const T* x, const T* w, const T* dt,
                           const Out<T>& dz, T* sums) {
  launch(op, depthwise_data<T>, cut.launch_with(kChannelThreads * sizeof(T)), DepthwiseShape(g),
         rule, cut, x, w, dt, dz, sums);
}

}  // namespace enas::cuda
