// Kernels of ops/conv2d.h: the tiled product of cuda/tiles.cuh, its operands read through the
// window.
#include "ops/conv2d.h"

#include "cuda/tiles.cuh"

namespace enas::cuda {
namespace {

constexpr const char* kOp = "conv2d";

// Sizes of a convolution of images [n, h, w, ci] to [n, oh, ow, co].
struct Geometry {
  Geometry(const Shape& x, const Shape& y, const Window2d& window)
      : images(x[0]),
        h(narrow(x[1])),
        w(narrow(x[2])),
        ci(narrow(x[3])),
        oh(narrow(y[1])),
        ow(narrow(y[2])),
        co(narrow(y[3])),
        kernel(narrow(window.kernel)),
        stride(narrow(window.stride)),
        top(narrow(window.before(x[1]))),
        left(narrow(window.before(x[2]))) {}
  static int narrow(int64_t v) {
    check(v < (int64_t{1} << 24), kOp, "an axis of ", v, " is too long for a GPU");
    return static_cast<int>(v);
  }
  int64_t images;
  int h, w, ci, oh, ow, co, kernel, stride, top, left;
  int64_t in_pixels() const { return images * h * w; }
  int64_t out_pixels() const { return images * oh * ow; }
  int64_t taps() const { return int64_t{kernel} * kernel; }
};

// A tap of the window and a channel, walked along the rows of a weight.
struct Walk {
  Walk() = default;
  __device__ __forceinline__ Walk(int at, int width, int kernel_size)
      : channels(width), kernel(kernel_size) {
    const int tap = at / channels;
    c = at - tap * channels;
    ky = tap / kernel;
    kx = tap - ky * kernel;
  }
  __device__ __forceinline__ void next() {
    if (++c < channels) return;
    c = 0;
    if (++kx < kernel) return;
    kx = 0;
    ++ky;
  }
  int channels, kernel, c, ky, kx;
};

// A pixel of [images, height, width].
struct Pixel {
  __device__ __forceinline__ Pixel(int at, int height, int width) {
    const int row = at / width;
    x = at - row * width;
    image = row / height;
    y = row - image * height;
  }
  int image, y, x;
};

// value(output pixel, (ky, kx, ci)) = x under that tap
template <class T>
struct InputRows {
  static constexpr bool kAlongDepth = true;
  struct Line {
    const T* image;  // null: no such pixel
    int y, x;        // under the first tap
  };
  const T* x;
  Geometry g;
  int lines;

  __device__ __forceinline__ Line line(int at) const {
    if (at >= lines) return {nullptr, 0, 0};
    const Pixel p(at, g.oh, g.ow);
    return {x + int64_t{p.image} * g.h * g.w * g.ci, p.y * g.stride - g.top,
            p.x * g.stride - g.left};
  }
  __device__ __forceinline__ void fetch(const Line& line, int k, int end, T (&v)[4]) const {
    Walk at(k, g.ci, g.kernel);
#pragma unroll
    for (int i = 0; i < 4; ++i, at.next()) {
      const int row = line.y + at.ky, column = line.x + at.kx;
      const bool inside = line.image != nullptr && k + i < end && row >= 0 && row < g.h &&
                          column >= 0 && column < g.w;
      v[i] = inside ? __ldg(line.image + int64_t{row * g.w + column} * g.ci + at.c) : T(0);
    }
  }
};

// value(input pixel, (ky, kx, co)) = dy of the output pixel that saw it under that tap
template <class T>
struct OutputRows {
  static constexpr bool kAlongDepth = true;
  struct Line {
    const T* image;
    int y, x;  // stride * (output row and column) under the first tap
  };
  const T* dy;
  Geometry g;
  int lines;

  __device__ __forceinline__ Line line(int at) const {
    if (at >= lines) return {nullptr, 0, 0};
    const Pixel p(at, g.h, g.w);
    return {dy + int64_t{p.image} * g.oh * g.ow * g.co, p.y + g.top, p.x + g.left};
  }
  __device__ __forceinline__ void fetch(const Line& line, int k, int end, T (&v)[4]) const {
    Walk at(k, g.co, g.kernel);
#pragma unroll
    for (int i = 0; i < 4; ++i, at.next()) {
      const int y = line.y - at.ky, x = line.x - at.kx;
      const int row = y / g.stride, column = x / g.stride;
      const bool inside = line.image != nullptr && k + i < end && y >= 0 && x >= 0 &&
                          row * g.stride == y && column * g.stride == x && row < g.oh &&
                          column < g.ow;
      v[i] = inside ? __ldg(line.image + int64_t{row * g.ow + column} * g.co + at.c) : T(0);
    }
  }
};

// value((ky, kx, ci), output pixel) = x under that tap
template <class T>
struct InputColumns {
  static constexpr bool kAlongDepth = false;
  using Line = Walk;
  const T* x;
  Geometry g;

  __device__ __forceinline__ Line line(int first) const { return Walk(first, g.ci, g.kernel); }
  __device__ __forceinline__ void fetch(const Line& first, int k, int end, T (&v)[4]) const {
    const Pixel p(k, g.oh, g.ow);
    const T* const image = x + int64_t{p.image} * g.h * g.w * g.ci;
    Walk at = first;
#pragma unroll
    for (int i = 0; i < 4; ++i, at.next()) {
      const int row = p.y * g.stride - g.top + at.ky, column = p.x * g.stride - g.left + at.kx;
      const bool inside =
          k < end && at.ky < g.kernel && row >= 0 && row < g.h && column >= 0 && column < g.w;
      v[i] = inside ? __ldg(image + int64_t{row * g.w + column} * g.ci + at.c) : T(0);
    }
  }
};

}  // namespace

void conv2d_forward(const Tensor& x, const Tensor& w, const Window2d& window, Tensor& y,
                    ChannelStats* stats) {
  if (y.numel() == 0) return;
  const Geometry g(x.shape(), y.shape(), window);
  visit_real(y.dtype(), kOp, [&](auto tag) {
    using T = decltype(tag);
    const InputRows<T> rows{x.data<T>(), g, static_cast<int>(g.out_pixels())};
    launch_product(kOp, rows, DepthMajor<T>{w.data<T>(), g.co}, TileOutput<T>{y.data<T>()},
                   g.out_pixels(), g.co, g.taps() * g.ci);
  });
  if (stats != nullptr) channel_stats(y, stats->mean, stats->variance);
}

void conv2d_backward_data(const Tensor& dy, const Tensor& w, const Window2d& window, Tensor& dx,
                          Into into) {
  if (dx.numel() == 0) return;
  const Geometry g(dx.shape(), dy.shape(), window);
  visit_real(dy.dtype(), kOp, [&](auto tag) {
    using T = decltype(tag);
    const OutputRows<T> rows{dy.data<T>(), g, static_cast<int>(g.in_pixels())};
    launch_product(kOp, rows, TurnedWeights<T>{w.data<T>(), g.ci, g.co},
                   TileOutput<T>{dx.data<T>(), nullptr, into == Into::add, 0}, g.in_pixels(), g.ci,
                   g.taps() * g.co);
  });
}

void conv2d_backward_weight(const Tensor& x, const Tensor& dy, const Window2d& window, Tensor& dw,
                            Into into) {
  const Geometry g(x.shape(), dy.shape(), window);
  visit_real(dy.dtype(), kOp, [&](auto tag) {
    using T = decltype(tag);
    launch_weight_gradient(kOp, InputColumns<T>{x.data<T>(), g}, DepthMajor<T>{dy.data<T>(), g.co},
                           dw.data<T>(), into == Into::add, g.taps() * g.ci, g.co, g.out_pixels());
  });
}

}  // namespace enas::cuda
