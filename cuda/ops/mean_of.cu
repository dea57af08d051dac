// Kernel of ops/mean_of.h. The addresses of the values travel as the kernel's parameter.
#include "ops/mean_of.h"

#include <algorithm>

#include "cuda/elementwise.cuh"

namespace enas::cuda {
namespace {

constexpr size_t kMost = 64;  // values a launch
template <class T>
struct Values {
  const T* at[kMost];
  int count;
};

// y = factor * (x_0 + x_1 + ...), in order; with `goes_on` the sum starts from y.
template <class T>
__global__ void mean_of_elements(const Values<T> x, T factor, bool goes_on, T* __restrict__ y,
                                 int64_t n, int64_t packs) {
  for (int64_t i = thread_index(); i < packs; i += thread_count()) {
    Pack<T> total = load_pack(goes_on ? y : x.at[0], i);
    for (int k = goes_on ? 0 : 1; k < x.count; ++k) {
      const Pack<T> value = load_pack(x.at[k], i);
#pragma unroll
      for (int l = 0; l < Pack<T>::kWidth; ++l) total.lane[l] += value.lane[l];
    }
#pragma unroll
    for (int l = 0; l < Pack<T>::kWidth; ++l) total.lane[l] *= factor;
    store_pack(y, i, total);
  }
  for (int64_t i = packs * Pack<T>::kWidth + thread_index(); i < n; i += thread_count()) {
    T total = goes_on ? y[i] : x.at[0][i];
    for (int k = goes_on ? 0 : 1; k < x.count; ++k) total += x.at[k][i];
    y[i] = total * factor;
  }
}

}  // namespace

// More values than fit a launch: the next one goes on from the sum in y.
void mean_of_forward(Tensor& y, std::span<const Var> values) {
  visit_real(y.dtype(), "mean_of", [&](auto tag) {
    using T = decltype(tag);
    const T share = T(1) / static_cast<T>(values.size());
    const int64_t n = y.numel();
    T* out = y.data<T>();
    for (size_t first = 0; first < values.size(); first += kMost) {
      Values<T> x{};
      const size_t end = std::min(first + kMost, values.size());
      int64_t packs = packs_in<T>(n, out);
      for (size_t i = first; i < end; ++i) {
        x.at[i - first] = values[i].value().data<T>();
        packs = std::min(packs, packs_in<T>(n, x.at[i - first]));
      }
      x.count = static_cast<int>(end - first);
      launch("mean_of", mean_of_elements<T>,
             Launch{dim3(blocks_for(packs > 0 ? packs : n, kMapThreads)), dim3(kMapThreads)}, x,
             end == values.size() ? share : T(1), first > 0, out, n, packs);
    }
  });
}

}  // namespace enas::cuda
