// Kernels over images [N, H, W, C]: a thread has `width` channels of a pixel, 16 bytes where all
// operands allow it. Blocks along x take an image's pixels, along y the images.
#pragma once
#include <algorithm>
#include <type_traits>

#include "cuda/elementwise.cuh"
#include "cuda/rows.cuh"

namespace enas::cuda {

constexpr unsigned kPixelThreads = 256;

// f(image, row, column, first channel). An image has less than 2^31 moves: divisions of 32 bits.
template <int width, class F>
__device__ __forceinline__ void each_pixel(int64_t images, int rows, int columns, int channels,
                                           F f) {
  const unsigned moves = static_cast<unsigned>(channels) / width;
  const unsigned line = static_cast<unsigned>(columns) * moves;
  const unsigned count = static_cast<unsigned>(rows) * line;
  for (int64_t n = blockIdx.y; n < images; n += gridDim.y) {
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < count;
         i += gridDim.x * blockDim.x) {
      const unsigned row = i / line, rest = i - row * line, column = rest / moves;
      f(n, static_cast<int>(row), static_cast<int>(column),
        static_cast<int>(rest - column * moves) * width);
    }
  }
}

inline Launch pixels_of(const char* op, int64_t images, int64_t rows, int64_t columns,
                        int64_t channels, int width) {
  const int64_t count = rows * columns * (channels / width);
  check(count < int64_t{1} << 30, op, "an image of ", rows, " x ", columns, " x ", channels,
        " is too large for the device");
  return {dim3(blocks_for(count, kPixelThreads),
               static_cast<unsigned>(std::min<int64_t>(images, 65535))),
          dim3(kPixelThreads)};
}

// f(std::integral_constant<int, width>{}).
template <class T, class F, class... P>
void visit_channels(int64_t channels, F f, const P*... at) {
  constexpr int kWidth = 16 / sizeof(T);
  const bool aligned =
      channels % kWidth == 0 && ((reinterpret_cast<uintptr_t>(at) % 16 == 0) && ...);
  if (aligned) {
    f(std::integral_constant<int, kWidth>{});
  } else {
    f(std::integral_constant<int, 1>{});
  }
}

}  // namespace enas::cuda
