// Kernels over elements, shared by the op files: 16 bytes a move where all operands lie aligned,
// element by element elsewhere and at the end.
#pragma once
#include "cuda/launch.cuh"

namespace enas::cuda {

template <class T>
struct alignas(16) Pack {
  static constexpr int kWidth = 16 / sizeof(T);
  T lane[kWidth];
};
template <class T>
__device__ __forceinline__ Pack<T> load_pack(const T* from, int64_t pack) {
  return reinterpret_cast<const Pack<T>*>(from)[pack];
}
template <class T>
__device__ __forceinline__ void store_pack(T* to, int64_t pack, const Pack<T>& value) {
  reinterpret_cast<Pack<T>*>(to)[pack] = value;
}
// Whole packs in n elements at these addresses: none unless all are aligned.
template <class T, class... P>
int64_t packs_in(int64_t n, const P*... at) {
  const bool aligned = ((reinterpret_cast<uintptr_t>(at) % sizeof(Pack<T>) == 0) && ...);
  return aligned ? n / Pack<T>::kWidth : 0;
}

constexpr unsigned kMapThreads = 256;

__device__ __forceinline__ int64_t thread_index() {
  return blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
}
__device__ __forceinline__ int64_t thread_count() { return int64_t{gridDim.x} * blockDim.x; }

// y (+)= f(x...) lane by lane.
template <class F, class T, class... X>
__device__ __forceinline__ Pack<T> map_lanes(const F& f, Pack<T> y, bool add, const X&... x) {
#pragma unroll
  for (int k = 0; k < Pack<T>::kWidth; ++k) {
    const T value = f(x.lane[k]...);
    y.lane[k] = add ? y.lane[k] + value : value;
  }
  return y;
}

// out[i] (+)= f(in[i]...); the first packs * Pack<T>::kWidth elements as packs.
template <class F, class T, class... In>
__global__ void map_elements(F f, T* __restrict__ out, bool add, int64_t n, int64_t packs,
                             const In*... in) {
  for (int64_t i = thread_index(); i < packs; i += thread_count()) {
    const Pack<T> before = add ? load_pack(out, i) : Pack<T>{};
    store_pack(out, i, map_lanes(f, before, add, load_pack(in, i)...));
  }
  for (int64_t i = packs * Pack<T>::kWidth + thread_index(); i < n; i += thread_count()) {
    const T value = f(in[i]...);
    out[i] = add ? out[i] + value : value;
  }
}

template <class F, class T, class... In>
void launch_map(const char* op, F f, T* out, bool add, int64_t n, const In*... in) {
  const int64_t packs = packs_in<T>(n, out, in...);
  const Launch how{dim3(blocks_for(packs > 0 ? packs : n, kMapThreads)), dim3(kMapThreads)};
  launch(op, map_elements<F, T, In...>, how, f, out, add, n, packs, in...);
}

template <class T>
struct Same {
  __device__ T operator()(T x) const { return x; }
};

// out (+)= f(x, row), the row of n elements again for each of `rows` rows. A thread keeps its
// elements of the row; blocks share the rows among them along y.
template <class F, class T>
__global__ void map_rows(F f, T* __restrict__ out, bool add, int64_t rows, int64_t n, int64_t packs,
                         const T* __restrict__ x, const T* __restrict__ row) {
  for (int64_t i = thread_index(); i < packs; i += thread_count()) {
    const Pack<T> own = load_pack(row, i);
    for (int64_t r = blockIdx.y; r < rows; r += gridDim.y) {
      const int64_t at = r * packs + i;
      const Pack<T> before = add ? load_pack(out, at) : Pack<T>{};
      store_pack(out, at, map_lanes(f, before, add, load_pack(x, at), own));
    }
  }
  for (int64_t i = packs * Pack<T>::kWidth + thread_index(); i < n; i += thread_count()) {
    const T own = row[i];
    for (int64_t r = blockIdx.y; r < rows; r += gridDim.y) {
      const T value = f(x[r * n + i], own);
      out[r * n + i] = add ? out[r * n + i] + value : value;
    }
  }
}

template <class F, class T>
void launch_rows(const char* op, F f, T* out, bool add, int64_t rows, int64_t n, const T* x,
                 const T* row) {
  if (rows == 0 || n == 0) return;
  // Rows follow each other without a gap: packs must fill them.
  const bool whole = n % Pack<T>::kWidth == 0;
  const int64_t packs = whole ? packs_in<T>(n, out, x, row) : 0;
  const unsigned across = blocks_for(packs > 0 ? packs : n, kMapThreads);
  constexpr int64_t kBlocks = 2048;  // enough for every GPU; more would only reread the row
  const unsigned down = blocks_for(rows, 1, (kBlocks + across - 1) / across);
  launch(op, map_rows<F, T>, Launch{dim3(across, down), dim3(kMapThreads)}, f, out, add, rows, n,
         packs, x, row);
}

// Unsigned data of 16, 8, 4, 2 or 1 bytes, for kernels that only move: the widest that divides
// `bits`, the addresses and lengths of all operands or-ed together. Calls f(Unit{}).
template <class F>
void visit_unit(size_t bits, F&& f) {
  if (bits % 16 == 0) return f(uint4{});
  if (bits % 8 == 0) return f(uint64_t{});
  if (bits % 4 == 0) return f(uint32_t{});
  if (bits % 2 == 0) return f(uint16_t{});
  f(uint8_t{});
}
inline size_t bits_of(const void* address) { return reinterpret_cast<size_t>(address); }

// A warp a row: the rows of this warp are row, row + warp_stride(), ...
constexpr unsigned kRowThreads = 128;
__device__ __forceinline__ int64_t warp_index() { return thread_index() / kWarp; }
__device__ __forceinline__ int64_t warp_stride() { return thread_count() / kWarp; }
__device__ __forceinline__ unsigned lane_index() { return threadIdx.x % kWarp; }
inline Launch warps_for(int64_t rows) {
  return {dim3(blocks_for(rows, kRowThreads / kWarp)), dim3(kRowThreads)};
}

}  // namespace enas::cuda
