// Kernels of ops/factorized_reduction.h: each path's pixels are gathered, multiplied by cuBLAS into
// their columns of the result, and scattered on the way back.
#include "ops/factorized_reduction.h"

#include "cuda/blas.h"
#include "cuda/images.cuh"

namespace enas::cuda {
namespace {

struct Grid {
  int64_t images;
  int height, width, channels, rows, columns;
  int64_t pixels() const { return images * rows * columns; }
};
Grid grid_of(const Shape& x) {
  const auto narrow = [](int64_t v) { return static_cast<int>(v); };
  return {x[0],         narrow(x[1]),           narrow(x[2]),
          narrow(x[3]), narrow((x[1] + 1) / 2), narrow((x[2] + 1) / 2)};
}

// to[n, i, j] = f(x[n, 2i + path, 2j + path]), 0 outside.
template <class T, int width>
__global__ void gather_path(const T* __restrict__ x, T* __restrict__ to, Grid g, int path,
                            bool relu) {
  each_pixel<width>(g.images, g.rows, g.columns, g.channels, [&](int64_t n, int i, int j, int c) {
    const int row = 2 * i + path, column = 2 * j + path;
    Lanes<T, width> value = {};
    if (row < g.height && column < g.width) {
      value = load_lanes<width>(x + ((n * g.height + row) * g.width + column) * g.channels + c);
#pragma unroll
      for (int k = 0; k < width; ++k) {
        value.lane[k] = relu && value.lane[k] <= 0 ? T(0) : value.lane[k];
      }
    }
    store_lanes(to + ((n * g.rows + i) * g.columns + j) * g.channels + c, value);
  });
}

// dx (+)= f' times the gradient of its pixel in either path, 0 where no path reads it.
template <class T, int width>
__global__ void scatter_paths(const T* __restrict__ first, const T* __restrict__ second,
                              const T* __restrict__ x, bool relu, T* __restrict__ dx, Grid g,
                              bool add) {
  each_pixel<width>(
      g.images, g.height, g.width, g.channels, [&](int64_t n, int row, int column, int c) {
        const bool read = row % 2 == column % 2;
        if (!read && add) return;
        const int64_t at = ((n * g.height + row) * g.width + column) * g.channels + c;
        Lanes<T, width> value = {};
        if (read) {
          const T* from = row % 2 == 0 ? first : second;
          value = load_lanes<width>(
              from + ((n * g.rows + row / 2) * g.columns + column / 2) * g.channels + c);
          if (relu) {
            const Lanes<T, width> source = load_lanes<width>(x + at);
#pragma unroll
            for (int k = 0; k < width; ++k) {
              value.lane[k] = source.lane[k] <= 0 ? T(0) : value.lane[k];
            }
          }
        }
        put_lanes(dx + at, value, add);
      });
}

template <class T>
void gather(const Tensor& x, T* to, int path, bool relu) {
  const Grid g = grid_of(x.shape());
  const T* in = x.data<T>();
  visit_channels<T>(
      g.channels,
      [&](auto width) {
        launch("factorized_reduction", gather_path<T, width>,
               pixels_of("factorized_reduction", g.images, g.rows, g.columns, g.channels, width),
               in, to, g, path, relu);
      },
      in, to);
}

}  // namespace

void factorized_reduction_forward(const Tensor& x, const Tensor& w1, const Tensor& w2, bool relu,
                                  Tensor& y, ChannelStats& stats) {
  const Grid g = grid_of(x.shape());
  if (y.numel() == 0) return;
  visit_real(x.dtype(), "factorized_reduction", [&](auto tag) {
    using T = decltype(tag);
    Scratch scratch(static_cast<size_t>(g.pixels() * g.channels) * sizeof(T));
    T* out = y.data<T>();
    for (const int path : {0, 1}) {
      const Tensor& w = path == 0 ? w1 : w2;
      if (w.size(1) == 0) continue;
      gather(x, scratch.as<T>(), path, relu);
      gemm<T>("factorized_reduction", false, false, g.pixels(), w.size(1), g.channels,
              scratch.as<T>(), g.channels, w.data<T>(), w.size(1), T{0},
              out + (path == 0 ? 0 : w1.size(1)), y.size(3));
    }
  });
  if (stats.mean.defined()) channel_stats(y, stats.mean, stats.variance);
}

void factorized_reduction_backward_input(const Tensor& x, const Tensor& w1, const Tensor& w2,
                                         bool relu, const Tensor& dy, Tensor& dx, Into into) {
  const Grid g = grid_of(x.shape());
  if (dx.numel() == 0) return;
  visit_real(x.dtype(), "factorized_reduction", [&](auto tag) {
    using T = decltype(tag);
    const int64_t half = (g.pixels() * g.channels + 3) / 4 * 4;  // both halves begin aligned
    Scratch scratch(static_cast<size_t>(2 * half) * sizeof(T));
    T *first = scratch.as<T>(), *second = first + half;
    const T *up = dy.data<T>(), *in = x.data<T>();
    for (const int path : {0, 1}) {
      const Tensor& w = path == 0 ? w1 : w2;
      gemm<T>("factorized_reduction", false, true, g.pixels(), g.channels, w.size(1),
              up + (path == 0 ? 0 : w1.size(1)), dy.size(3), w.data<T>(), w.size(1), T{0},
              path == 0 ? first : second, g.channels);
    }
    T* out = dx.data<T>();
    visit_channels<T>(
        g.channels,
        [&](auto width) {
          launch("factorized_reduction", scatter_paths<T, width>,
                 pixels_of("factorized_reduction", g.images, g.height, g.width, g.channels, width),
                 first, second, in, relu, out, g, into == Into::add);
        },
        first, second, in, out);
  });
}

void factorized_reduction_backward_weight(const Tensor& x, bool relu, const Tensor& dy, int path,
                                          Tensor& dw, Into into) {
  const Grid g = grid_of(x.shape());
  if (dw.numel() == 0) return;
  visit_real(x.dtype(), "factorized_reduction", [&](auto tag) {
    using T = decltype(tag);
    Scratch scratch(static_cast<size_t>(g.pixels() * g.channels) * sizeof(T));
    gather(x, scratch.as<T>(), path, relu);
    gemm<T>("factorized_reduction", true, false, g.channels, dw.size(1), g.pixels(),
            scratch.as<T>(), g.channels, dy.data<T>() + (path == 0 ? 0 : dy.size(3) - dw.size(1)),
            dy.size(3), into == Into::add ? T{1} : T{0}, dw.data<T>(), dw.size(1));
  });
}

}  // namespace enas::cuda
