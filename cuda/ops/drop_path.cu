// Kernel of ops/drop_path.h.
#include "ops/drop_path.h"

#include "cuda/images.cuh"

namespace enas::cuda {
namespace {

// y (+)= x * the example's factor. Blocks along y take the examples.
template <class T, int width>
__global__ void scale_examples(const T* __restrict__ x, const T* __restrict__ keep,
                               T* __restrict__ y, int64_t examples, int64_t n, bool add) {
  for (int64_t e = blockIdx.y; e < examples; e += gridDim.y) {
    const T factor = keep[e];
    for (int64_t i = thread_index() * width; i < n; i += thread_count() * width) {
      Lanes<T, width> value = load_lanes<width>(x + e * n + i);
#pragma unroll
      for (int k = 0; k < width; ++k) value.lane[k] *= factor;
      put_lanes(y + e * n + i, value, add);
    }
  }
}

}  // namespace

void drop_path_apply(const Tensor& x, const Tensor& keep, Tensor& y, Into into) {
  const int64_t examples = keep.numel();
  if (x.numel() == 0) return;
  const int64_t n = x.numel() / examples;
  visit_real(x.dtype(), "drop_path", [&](auto tag) {
    using T = decltype(tag);
    const T *in = x.data<T>(), *factors = keep.data<T>();
    T* out = y.data<T>();
    visit_channels<T>(
        n,
        [&](auto width) {
          launch("drop_path", scale_examples<T, width>,
                 Launch{dim3(blocks_for(n, int64_t{width} * kPixelThreads),
                             static_cast<unsigned>(std::min<int64_t>(examples, 65535))),
                        dim3(kPixelThreads)},
                 in, factors, out, examples, n, into == Into::add);
        },
        in, out);
  });
}

}  // namespace enas::cuda
