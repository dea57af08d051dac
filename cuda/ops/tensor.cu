// Kernels of tensor/tensor.h: constants, conversions, and the sum of two gradients.
#include "tensor/tensor.h"

#include <cstring>

#include "cuda/elementwise.cuh"

namespace enas::cuda {
namespace {

template <class Unit>
__global__ void fill_elements(Unit* __restrict__ out, Unit value, int64_t n, int64_t packs) {
  Pack<Unit> many;
#pragma unroll
  for (int k = 0; k < Pack<Unit>::kWidth; ++k) many.lane[k] = value;
  for (int64_t i = thread_index(); i < packs; i += thread_count()) store_pack(out, i, many);
  for (int64_t i = packs * Pack<Unit>::kWidth + thread_index(); i < n; i += thread_count()) {
    out[i] = value;
  }
}

// A GPU's conversions lose a NaN's sign and payload; a CPU keeps both and sets the quiet bit.
__device__ inline double widen(float x) {
  if (x == x) return static_cast<double>(x);
  const uint64_t u = std::bit_cast<uint32_t>(x);
  return std::bit_cast<double>((u & 0x80000000u) << 32 | uint64_t{0x7ff80000} << 32 |
                               (u & 0x7fffffu) << 29);
}
__device__ inline float narrow(double x) {
  if (x == x) return static_cast<float>(x);
  const uint64_t u = std::bit_cast<uint64_t>(x);
  return std::bit_cast<float>(
      static_cast<uint32_t>((u >> 32 & 0x80000000u) | 0x7fc00000u | (u >> 29 & 0x7fffffu)));
}

// Between two different dtypes, rounded once to float where the target is narrower.
template <class To, class From>
__device__ To converted(From x) {
  if constexpr (std::is_same_v<From, double>) {
    return To(narrow(x));
  } else if constexpr (std::is_same_v<To, double>) {
    return widen(static_cast<float>(x));
  } else {
    return To(narrow(widen(static_cast<float>(x))));  // as on the CPU: by way of double
  }
}

template <class To, class From>
__global__ void convert_elements(const From* __restrict__ x, To* __restrict__ y, int64_t n) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) y[i] = converted<To>(x[i]);
}

template <class F>
void visit_floating(DType dtype, F&& f) {
  check(is_floating(dtype), "convert", "needs a floating dtype on a GPU, got ", dtype);
  visit_any(dtype, [&](auto tag) {
    if constexpr (!std::is_integral_v<decltype(tag)>) f(tag);
  });
}

}  // namespace

void fill(Tensor& t, double value) {
  visit_any(t.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T element = from_double<T>(value);
    visit_unit(sizeof(T), [&](auto unit) {
      using Unit = decltype(unit);
      if constexpr (sizeof(Unit) == sizeof(T)) {
        std::memcpy(&unit, &element, sizeof(T));
        Unit* out = static_cast<Unit*>(t.raw());
        const int64_t n = t.numel(), packs = packs_in<Unit>(n, out);
        launch("fill", fill_elements<Unit>,
               Launch{dim3(blocks_for(packs > 0 ? packs : n, kMapThreads)), dim3(kMapThreads)}, out,
               unit, n, packs);
      }
    });
  });
}

void convert(const Tensor& source, Tensor& result) {
  visit_floating(source.dtype(), [&](auto from) {
    visit_floating(result.dtype(), [&](auto to) {
      using From = decltype(from);
      using To = decltype(to);
      if constexpr (!std::is_same_v<From, To>) {
        launch("convert", convert_elements<To, From>,
               Launch{dim3(blocks_for(source.numel(), kMapThreads)), dim3(kMapThreads)},
               source.data<From>(), result.data<To>(), source.numel());
      } else {
        copy(result.raw(), source.raw(), source.bytes());
      }
    });
  });
}

void accumulate(Tensor& sum, const Tensor& term) {
  visit_real(sum.dtype(), "backward", [&](auto tag) {
    using T = decltype(tag);
    launch_map("backward", Same<T>{}, sum.data<T>(), true, sum.numel(), term.data<T>());
  });
}

}  // namespace enas::cuda
