// Kernels of ops/pool2d.h. Forward reads a window's taps, backward the outputs that have a pixel in
// their windows: neighbours read the same lines, which the first cache holds. No atomics.
#include "ops/pool2d.h"

#include "cuda/images.cuh"

namespace enas::cuda {
namespace {

// One axis: input = output * stride - before + tap.
struct Axis {
  int in, out, kernel, stride, before;
  __device__ __forceinline__ int first(int o) const {  // input inside the image
    const int i = o * stride - before;
    return i > 0 ? i : 0;
  }
  __device__ __forceinline__ int end(int o) const {
    const int i = o * stride - before + kernel;
    return i < in ? i : in;
  }
  __device__ __forceinline__ int first_reader(int i) const {
    const int last = i + before;
    return last < kernel ? 0 : (last - kernel) / stride + 1;
  }
  __device__ __forceinline__ int end_reader(int i) const {
    const int o = (i + before) / stride + 1;
    return o < out ? o : out;
  }
  __device__ __forceinline__ int tap(int o, int i) const { return i + before - o * stride; }
};
struct Pool {
  Axis down, across;
  int channels;
  __device__ __forceinline__ int64_t input(int64_t n, int row, int column, int channel) const {
    return ((n * down.in + row) * across.in + column) * channels + channel;
  }
  __device__ __forceinline__ int64_t output(int64_t n, int row, int column, int channel) const {
    return ((n * down.out + row) * across.out + column) * channels + channel;
  }
};

Axis axis_of(const Window2d& w, int64_t size) {
  const auto narrow = [](int64_t v) { return static_cast<int>(v); };
  return {narrow(size), narrow(w.output(size)), narrow(w.kernel), narrow(w.stride),
          narrow(w.before(size))};
}
Pool pool_of(const Shape& x, const Window2d& w) {
  return {axis_of(w, x[1]), axis_of(w, x[2]), static_cast<int>(x[3])};
}

// The first of the largest taps, the last NaN before all.
template <class T, int width>
__global__ void max_forward(const T* __restrict__ x, T* __restrict__ y, uint8_t* __restrict__ index,
                            Pool p, int64_t images) {
  each_pixel<width>(
      images, p.down.out, p.across.out, p.channels, [&](int64_t n, int oy, int ox, int c) {
        const int y0 = p.down.first(oy), y1 = p.down.end(oy);
        const int x0 = p.across.first(ox), x1 = p.across.end(ox);
        Lanes<T, width> best = load_lanes<width>(x + p.input(n, y0, x0, c));
        Lanes<uint8_t, width> place;
        const int start = p.down.tap(oy, y0) * p.down.kernel + p.across.tap(ox, x0);
#pragma unroll
        for (int k = 0; k < width; ++k) place.lane[k] = static_cast<uint8_t>(start);
        for (int iy = y0; iy < y1; ++iy) {
          for (int ix = x0; ix < x1; ++ix) {
            const Lanes<T, width> value = load_lanes<width>(x + p.input(n, iy, ix, c));
            const int tap = p.down.tap(oy, iy) * p.down.kernel + p.across.tap(ox, ix);
#pragma unroll
            for (int k = 0; k < width; ++k) {
              const bool wins = value.lane[k] > best.lane[k] || value.lane[k] != value.lane[k];
              best.lane[k] = wins ? value.lane[k] : best.lane[k];
              place.lane[k] = wins ? static_cast<uint8_t>(tap) : place.lane[k];
            }
          }
        }
        const int64_t at = p.output(n, oy, ox, c);
        store_lanes(y + at, best);
        if (index != nullptr) store_lanes(index + at, place);
      });
}

template <class T, int width>
__global__ void max_backward(const uint8_t* __restrict__ index, const T* __restrict__ dy,
                             T* __restrict__ dx, Pool p, int64_t images, bool add) {
  each_pixel<width>(
      images, p.down.in, p.across.in, p.channels, [&](int64_t n, int iy, int ix, int c) {
        Lanes<T, width> sum = {};
        for (int oy = p.down.first_reader(iy); oy < p.down.end_reader(iy); ++oy) {
          for (int ox = p.across.first_reader(ix); ox < p.across.end_reader(ix); ++ox) {
            const int64_t at = p.output(n, oy, ox, c);
            const Lanes<uint8_t, width> taken = load_lanes<width>(index + at);
            const Lanes<T, width> g = load_lanes<width>(dy + at);
            const int tap = p.down.tap(oy, iy) * p.down.kernel + p.across.tap(ox, ix);
#pragma unroll
            for (int k = 0; k < width; ++k) sum.lane[k] += taken.lane[k] == tap ? g.lane[k] : T(0);
          }
        }
        put_lanes(dx + p.input(n, iy, ix, c), sum, add);
      });
}

template <class T, int width>
__global__ void avg_forward(const T* __restrict__ x, T* __restrict__ y, Pool p, int64_t images) {
  each_pixel<width>(
      images, p.down.out, p.across.out, p.channels, [&](int64_t n, int oy, int ox, int c) {
        const int y0 = p.down.first(oy), y1 = p.down.end(oy);
        const int x0 = p.across.first(ox), x1 = p.across.end(ox);
        Lanes<T, width> sum = {};
        for (int iy = y0; iy < y1; ++iy) {
          for (int ix = x0; ix < x1; ++ix) {
            const Lanes<T, width> value = load_lanes<width>(x + p.input(n, iy, ix, c));
#pragma unroll
            for (int k = 0; k < width; ++k) sum.lane[k] += value.lane[k];
          }
        }
        const T share = T(1) / static_cast<T>((y1 - y0) * (x1 - x0));
#pragma unroll
        for (int k = 0; k < width; ++k) sum.lane[k] *= share;
        store_lanes(y + p.output(n, oy, ox, c), sum);
      });
}

template <class T, int width>
__global__ void avg_backward(const T* __restrict__ dy, T* __restrict__ dx, Pool p, int64_t images,
                             bool add) {
  each_pixel<width>(
      images, p.down.in, p.across.in, p.channels, [&](int64_t n, int iy, int ix, int c) {
        Lanes<T, width> sum = {};
        for (int oy = p.down.first_reader(iy); oy < p.down.end_reader(iy); ++oy) {
          const int rows = p.down.end(oy) - p.down.first(oy);
          for (int ox = p.across.first_reader(ix); ox < p.across.end_reader(ix); ++ox) {
            const T share = T(1) / static_cast<T>(rows * (p.across.end(ox) - p.across.first(ox)));
            const Lanes<T, width> g = load_lanes<width>(dy + p.output(n, oy, ox, c));
#pragma unroll
            for (int k = 0; k < width; ++k) sum.lane[k] += g.lane[k] * share;
          }
        }
        put_lanes(dx + p.input(n, iy, ix, c), sum, add);
      });
}

}  // namespace

void max_pool2d_forward(const Tensor& x, const Window2d& window, Tensor& y, Tensor& index) {
  visit_real(x.dtype(), "max_pool2d", [&](auto tag) {
    using T = decltype(tag);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    uint8_t* places = index.defined() ? index.data<uint8_t>() : nullptr;
    visit_channels<T>(
        x.size(3),
        [&](auto width) {
          launch("max_pool2d", max_forward<T, width>,
                 pixels_of("max_pool2d", y.size(0), y.size(1), y.size(2), y.size(3), width), in,
                 out, places, pool_of(x.shape(), window), x.size(0));
        },
        in, out, places);
  });
}

void max_pool2d_backward(const Tensor& index, const Tensor& dy, const Window2d& window, Tensor& dx,
                         Into into) {
  visit_real(dx.dtype(), "max_pool2d", [&](auto tag) {
    using T = decltype(tag);
    const auto* places = index.data<uint8_t>();
    const T* up = dy.data<T>();
    T* out = dx.data<T>();
    visit_channels<T>(
        dx.size(3),
        [&](auto width) {
          launch("max_pool2d", max_backward<T, width>,
                 pixels_of("max_pool2d", dx.size(0), dx.size(1), dx.size(2), dx.size(3), width),
                 places, up, out, pool_of(dx.shape(), window), dx.size(0), into == Into::add);
        },
        places, up, out);
  });
}

void avg_pool2d_forward(const Tensor& x, const Window2d& window, Tensor& y) {
  visit_real(x.dtype(), "avg_pool2d", [&](auto tag) {
    using T = decltype(tag);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    visit_channels<T>(
        x.size(3),
        [&](auto width) {
          launch("avg_pool2d", avg_forward<T, width>,
                 pixels_of("avg_pool2d", y.size(0), y.size(1), y.size(2), y.size(3), width), in,
                 out, pool_of(x.shape(), window), x.size(0));
        },
        in, out);
  });
}

void avg_pool2d_backward(const Tensor& dy, const Window2d& window, Tensor& dx, Into into) {
  visit_real(dx.dtype(), "avg_pool2d", [&](auto tag) {
    using T = decltype(tag);
    const T* up = dy.data<T>();
    T* out = dx.data<T>();
    visit_channels<T>(
        dx.size(3),
        [&](auto width) {
          launch("avg_pool2d", avg_backward<T, width>,
                 pixels_of("avg_pool2d", dx.size(0), dx.size(1), dx.size(2), dx.size(3), width), up,
                 out, pool_of(dx.shape(), window), dx.size(0), into == Into::add);
        },
        up, out);
  });
}

}  // namespace enas::cuda
