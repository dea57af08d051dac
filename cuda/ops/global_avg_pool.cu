// Kernels of ops/global_avg_pool.h.
#include "ops/global_avg_pool.h"

#include "cuda/images.cuh"

namespace enas::cuda {
namespace {

constexpr unsigned kGroups = 8;  // of pixels: a block has 32 channels of an image

// Each group sums every kGroups-th pixel; then the groups are added in order.
template <class T>
__global__ void mean_of_pixels(const T* __restrict__ x, bool relu, T* __restrict__ y,
                               int64_t images, int64_t pixels, int64_t channels) {
  ENAS_SHARED(memory);
  const Shared<T> sums(memory, 0, kGroups * kWarp);
  const int64_t c = int64_t{blockIdx.x} * kWarp + threadIdx.x;
  for (int64_t n = blockIdx.y; n < images; n += gridDim.y) {
    T sum = 0;
    for (int64_t p = threadIdx.y; p < pixels && c < channels; p += kGroups) {
      const T value = x[(n * pixels + p) * channels + c];
      sum += relu && value <= 0 ? T(0) : value;
    }
    sums.set(threadIdx.y * kWarp + threadIdx.x, sum);
    __syncthreads();
    if (threadIdx.y == 0 && c < channels) {
      T total = sums.get(threadIdx.x);
      for (unsigned g = 1; g < kGroups; ++g) total += sums.get(g * kWarp + threadIdx.x);
      y[n * channels + c] = total / static_cast<T>(pixels);
    }
    __syncthreads();
  }
}

// dx (+)= dy / pixels, under relu only where x is not below or at 0.
template <class T, int width>
__global__ void spread_mean(const T* __restrict__ x, bool relu, const T* __restrict__ dy,
                            T* __restrict__ dx, int64_t images, int height, int columns,
                            int channels, bool add) {
  const T share = T(1) / static_cast<T>(height * columns);
  each_pixel<width>(images, height, columns, channels, [&](int64_t n, int row, int column, int c) {
    const int64_t at = ((n * height + row) * columns + column) * channels + c;
    Lanes<T, width> g = load_lanes<width>(dy + n * channels + c);
    Lanes<T, width> value = {};
    if (relu) value = load_lanes<width>(x + at);
#pragma unroll
    for (int k = 0; k < width; ++k) {
      g.lane[k] = relu && value.lane[k] <= 0 ? T(0) : g.lane[k] * share;
    }
    put_lanes(dx + at, g, add);
  });
}

}  // namespace

void global_avg_pool_forward(const Tensor& x, bool relu, Tensor& y) {
  const int64_t pixels = x.size(1) * x.size(2);
  visit_real(x.dtype(), "global_avg_pool", [&](auto tag) {
    using T = decltype(tag);
    launch("global_avg_pool", mean_of_pixels<T>,
           Launch{dim3(blocks_for(x.size(3), kWarp),
                       static_cast<unsigned>(std::min<int64_t>(x.size(0), 65535))),
                  dim3(kWarp, kGroups), kGroups * kWarp * sizeof(T)},
           x.data<T>(), relu, y.data<T>(), x.size(0), pixels, x.size(3));
  });
}

void global_avg_pool_backward(const Tensor& dy, const Tensor& x, bool relu, Tensor& dx, Into into) {
  visit_real(dx.dtype(), "global_avg_pool", [&](auto tag) {
    using T = decltype(tag);
    const T *in = relu ? x.data<T>() : nullptr, *up = dy.data<T>();
    T* out = dx.data<T>();
    visit_channels<T>(
        dx.size(3),
        [&](auto width) {
          launch(
              "global_avg_pool", spread_mean<T, width>,
              pixels_of("global_avg_pool", dx.size(0), dx.size(1), dx.size(2), dx.size(3), width),
              in, relu, up, out, dx.size(0), static_cast<int>(dx.size(1)),
              static_cast<int>(dx.size(2)), static_cast<int>(dx.size(3)), into == Into::add);
        },
        in, up, out);
  });
}

}  // namespace enas::cuda
