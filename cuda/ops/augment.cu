// Kernel of ops/augment.h: the same draws and the same rounding as on the CPU, so the same bits.
#include "ops/augment.h"

#include <algorithm>

#include "cuda/images.cuh"
#include "cuda/sync.cuh"

namespace enas::cuda {
namespace {

constexpr unsigned kImageThreads = 128;

// An image a block, which makes its draw once; a thread has pixels.
template <class T>
__global__ void augment_images(const uint8_t* __restrict__ images,
                               const int32_t* __restrict__ indices, AugmentRule rule,
                               AugmentNormal<T> normal, Random random, int64_t first_draw,
                               T* __restrict__ out, int64_t batch, int64_t count, Fault* fault) {
  ENAS_SHARED(memory);
  const Shared<AugmentDraw> shared(memory, 0, 1);
  const int pixels = rule.height * rule.width;
  for (int64_t n = blockIdx.x; n < batch; n += gridDim.x) {
    const int64_t index = indices[n];
    const bool fits = index >= 0 && index < count;
    if (threadIdx.x == 0) {
      if (!fits) report_fault(fault, FaultOp::augment, index, n, count);
      shared.set(0, augment_draw(rule, random, first_draw + index));
    }
    __syncthreads();
    const AugmentDraw d = shared.get(0);
    const uint8_t* in = images + (fits ? index : 0) * pixels * 3;
    for (int p = static_cast<int>(threadIdx.x); p < pixels; p += static_cast<int>(blockDim.x)) {
      const int y = p / rule.width, x = p - y * rule.width;
      const int from_y = y + d.down, from_x = (d.flip ? rule.width - 1 - x : x) + d.right;
      const bool inside = from_y >= 0 && from_y < rule.height && from_x >= 0 && from_x < rule.width;
      const bool cut = y >= d.top && y < d.bottom && x >= d.left && x < d.last;
      T* to = out + (n * pixels + p) * 3;
#pragma unroll
      for (int c = 0; c < 3; ++c) {
        T value = 0;
        if (inside && !cut && fits) {
          value = static_cast<T>(in[(from_y * rule.width + from_x) * 3 + c]);
          value = (value - normal.centre[c]) * normal.scale[c];
        }
        to[c] = value;
      }
    }
    __syncthreads();
  }
}

}  // namespace

void augment_batch(const Tensor& images, const Tensor& indices, const AugmentOptions& options,
                   const Random& random, int64_t first_draw, Tensor& y) {
  visit_real(y.dtype(), "augment", [&](auto tag) {
    using T = decltype(tag);
    launch("augment", augment_images<T>,
           Launch{dim3(blocks_for(indices.numel(), 1)), dim3(kImageThreads), sizeof(AugmentDraw)},
           images.data<uint8_t>(), indices.data<int32_t>(), augment_rule(images, options),
           augment_normal<T>(options), random, first_draw, y.data<T>(), indices.numel(),
           images.size(0), fault());
  });
}

}  // namespace enas::cuda
