// Kernels of ops/embedding.h. Backward needs no atomics: each position counts how many indices are
// smaller (n^2 comparisons of 32 bits, far less than the products of the same positions), which
// gives the positions in order of index and, of one index, in order of position; then each table
// row sums its own. The sums are those of the CPU, in its order: the same bits.
#include "ops/embedding.h"

#include <algorithm>

#include "cuda/rows.cuh"
#include "cuda/sync.cuh"

namespace enas::cuda {
namespace {

// A thread a move of `width` elements; a block has several rows where they are short.
__device__ __forceinline__ int64_t block_row() {
  return blockIdx.x * int64_t{blockDim.y} + threadIdx.y;
}
Launch short_rows(int64_t rows, int64_t moves) {
  constexpr unsigned kThreads = 256;
  unsigned across = kWarp;
  while (across < kThreads && across < moves) across *= 2;
  const unsigned down = kThreads / across;
  return {dim3(static_cast<unsigned>((rows + down - 1) / down)), dim3(across, down)};
}
// f(std::integral_constant<int, width>{}): 16 bytes a move where rows and addresses allow it.
template <class T, class F, class... P>
void visit_move(int64_t width, F f, const P*... at) {
  constexpr int kWidth = 16 / sizeof(T);
  const bool aligned = width % kWidth == 0 && ((reinterpret_cast<uintptr_t>(at) % 16 == 0) && ...);
  if (aligned) {
    f(std::integral_constant<int, kWidth>{});
  } else {
    f(std::integral_constant<int, 1>{});
  }
}

// out[i] = scale[v] in[v or i] with v = index[i]; zeros where v is not a row of the table.
template <class T, int width>
__global__ void scaled_rows(const T* __restrict__ in, const int32_t* __restrict__ index,
                            const T* __restrict__ scale, T* __restrict__ out, bool gather,
                            int64_t n, int64_t table_rows, int64_t columns, Fault* fault) {
  const int64_t i = block_row();
  if (i >= n) return;
  const int64_t v = index[i];
  const bool fits = v >= 0 && v < table_rows;
  if (!fits && threadIdx.x == 0) report_fault(fault, FaultOp::embedding, v, i, table_rows);
  const T factor = fits && scale != nullptr ? scale[v] : T(1);
  const T* from = in + (gather ? (fits ? v : 0) : i) * columns;
  for (int64_t c = int64_t{threadIdx.x} * width; c < columns; c += int64_t{blockDim.x} * width) {
    Lanes<T, width> value = {};
    if (fits) {
      value = load_lanes<width>(from + c);
#pragma unroll
      for (int k = 0; k < width; ++k) value.lane[k] *= factor;
    }
    store_lanes(out + i * columns + c, value);
  }
}

// The positions of a table row: order[first], ..., order[first + count - 1].
struct Segment {
  int32_t first, count;
};

// A warp a position. Segments of rows that no position has stay zeros.
__global__ void order_positions(const int32_t* __restrict__ index, int32_t* __restrict__ order,
                                Segment* __restrict__ segments, int32_t n, int64_t table_rows) {
  const auto i = static_cast<int32_t>(blockIdx.x * (blockDim.x / kWarp) + threadIdx.x / kWarp);
  if (i >= n) return;
  const auto lane = static_cast<int32_t>(threadIdx.x % kWarp);
  const int32_t v = index[i];
  if (v < 0 || v >= table_rows) return;  // forward has told
  int32_t smaller = 0, equal = 0, equal_before = 0;
  for (int32_t j = lane; j < n; j += static_cast<int32_t>(kWarp)) {
    const int32_t other = index[j];
    smaller += other < v;
    equal += other == v;
    equal_before += other == v && j < i;
  }
  smaller = warp_reduce<Sum>(smaller);
  equal = warp_reduce<Sum>(equal);
  equal_before = warp_reduce<Sum>(equal_before);
  if (lane != 0) return;
  order[smaller + equal_before] = i;
  if (equal_before == 0) segments[v] = {smaller, equal};
}

// dtable[v] (+)= the sum of dy over the positions of v, in their order.
template <class T, int width>
__global__ void sum_positions(const T* __restrict__ dy, const int32_t* __restrict__ order,
                              const Segment* __restrict__ segments, T* __restrict__ dtable,
                              int64_t table_rows, int64_t columns, bool add) {
  const int64_t v = block_row();
  if (v >= table_rows) return;
  const Segment mine = segments[v];
  if (mine.count == 0 && add) return;
  for (int64_t c = int64_t{threadIdx.x} * width; c < columns; c += int64_t{blockDim.x} * width) {
    T* to = dtable + v * columns + c;
    Lanes<T, width> sum = {};
    if (add) sum = load_lanes<width>(to);
#pragma unroll 8
    for (int32_t k = mine.first; k < mine.first + mine.count; ++k) {
      const auto value = load_lanes<width>(dy + order[k] * columns + c);
#pragma unroll
      for (int l = 0; l < width; ++l) sum.lane[l] += value.lane[l];
    }
    store_lanes(to, sum);
  }
}

template <class T>
void launch_scaled(const T* in, const Tensor& indices, const T* scale, Tensor& y, bool gather,
                   int64_t table_rows) {
  const int64_t n = indices.numel(), columns = y.size(1);
  T* out = y.data<T>();
  visit_move<T>(
      columns,
      [&](auto width) {
        launch("embedding", scaled_rows<T, width>, short_rows(n, columns / width), in,
               indices.data<int32_t>(), scale, out, gather, n, table_rows, columns, fault());
      },
      in, out);
}

}  // namespace

void embedding_forward(const Tensor& table, const Tensor& indices, const Tensor& row_scale,
                       Tensor& y) {
  visit_real(table.dtype(), "embedding", [&](auto tag) {
    using T = decltype(tag);
    const T* scale = row_scale.defined() ? row_scale.data<T>() : nullptr;
    launch_scaled(table.data<T>(), indices, scale, y, true, table.size(0));
  });
}

void embedding_scale(const Tensor& dy, const Tensor& indices, const Tensor& row_scale,
                     Tensor& scaled) {
  visit_real(dy.dtype(), "embedding", [&](auto tag) {
    using T = decltype(tag);
    launch_scaled(dy.data<T>(), indices, row_scale.data<T>(), scaled, false, row_scale.size(0));
  });
}

void embedding_backward(const Tensor& indices, const Tensor& dy, Tensor& dtable, Into into) {
  const int64_t n = indices.numel(), rows = dtable.size(0), columns = dtable.size(1);
  Scratch order(static_cast<size_t>(n) * sizeof(int32_t));
  Tensor segments = Tensor::zeros({rows, 2}, DType::i32, Device::cuda);
  auto* const segment = static_cast<Segment*>(segments.raw());
  constexpr int64_t kWarps = 8;
  launch("embedding", order_positions,
         Launch{dim3(static_cast<unsigned>((n + kWarps - 1) / kWarps)), dim3(kWarps * kWarp)},
         indices.data<int32_t>(), order.as<int32_t>(), segment, n, rows);
  visit_real(dtable.dtype(), "embedding", [&](auto tag) {
    using T = decltype(tag);
    const T* in = dy.data<T>();
    T* out = dtable.data<T>();
    visit_move<T>(
        columns,
        [&](auto width) {
          launch("embedding", sum_positions<T, width>, short_rows(rows, columns / width), in,
                 order.as<int32_t>(), segment, out, rows, columns, into == Into::add);
        },
        in, out);
  });
}

}  // namespace enas::cuda
