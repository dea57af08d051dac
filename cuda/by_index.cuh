// Rows summed by index, without atomics and with the bits of the CPU, for the gradients of what
// looks rows up: the positions are put in order of index and, of one index, in order of position;
// then each row of the table sums its own. Each block orders the positions of 256 rows of the table
// by itself: it reads all indices, once to find where its own begin and once to collect them.
#pragma once
#include <algorithm>

#include "cuda/rows.cuh"

namespace enas::cuda {

// A thread a move of `width` elements; a block has several rows where they are short.
__device__ __forceinline__ int64_t block_row() {
  return blockIdx.x * int64_t{blockDim.y} + threadIdx.y;
}
inline Launch short_rows(int64_t rows, int64_t moves) {
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

// The positions of a table row: order[first], ..., order[first + count - 1].
struct Segment {
  int32_t first, count;
};
constexpr unsigned kOrderRows = 256;  // of the table, a block; a thread a row

// The sum over the threads below this one of a one-dimensional block. scratch: 32 elements.
__device__ inline int32_t sum_below(int32_t value, const Shared<int32_t>& scratch) {
  const unsigned lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  int32_t total = value;  // of the lanes up to this one
#pragma unroll
  for (unsigned step = 1; step < kWarp; step *= 2) {
    const int32_t other = __shfl_up_sync(kAllLanes, total, step);
    if (lane >= step) total += other;
  }
  if (lane == kWarp - 1) scratch.set(warp, total);
  __syncthreads();
  int32_t below = total - value;
  for (unsigned w = 0; w < warp; ++w) below += scratch.get(w);
  __syncthreads();
  return below;
}

// `found` [n] is scratch: the positions of the block's rows, in their order. Indices outside the
// table have no place: forward has told. Every segment is written.
template <class Index>
__global__ void __launch_bounds__(kOrderRows)
    order_positions(const Index* __restrict__ index, int32_t n, int64_t table_rows, int32_t* found,
                    int32_t* __restrict__ order, Segment* __restrict__ segments) {
  ENAS_SHARED(shared);
  const Shared<int32_t> scratch(shared, 0, kWarp);
  const Shared<int32_t> rows(shared, kWarp * sizeof(int32_t), kOrderRows);
  const Shared<int32_t> places(shared, (kWarp + kOrderRows) * sizeof(int32_t), kOrderRows);
  constexpr auto kTile = static_cast<int32_t>(kOrderRows);
  const auto thread = static_cast<int32_t>(threadIdx.x);
  const int64_t begin = int64_t{blockIdx.x} * kOrderRows, own = begin + thread;
  const int64_t end = begin + kOrderRows < table_rows ? begin + kOrderRows : table_rows;
  // A thread looks at a stretch of positions, so that those found by all are in order.
  const int32_t stretch = (n - 1) / kTile + 1;
  const int64_t start = int64_t{thread} * stretch, stop = start + stretch < n ? start + stretch : n;
  int32_t smaller = 0, mine = 0;
  for (int64_t i = start; i < stop; ++i) {
    const int64_t v = index[i];
    smaller += v < begin;
    mine += v >= begin && v < end;
  }
  const int32_t first = block_reduce<Sum>(smaller, scratch);
  const int32_t last = first + block_reduce<Sum>(mine, scratch);
  int32_t place = first + sum_below(mine, scratch);
  for (int64_t i = start; i < stop; ++i) {
    const int64_t v = index[i];
    if (v >= begin && v < end) found[place++] = static_cast<int32_t>(i);
  }
  __syncthreads();
  // f(position) for those of this thread's row, in their order.
  const auto each_position = [&](auto f) {
    for (int32_t tile = first; tile < last; tile += kTile) {
      const int32_t count = last - tile < kTile ? last - tile : kTile;
      if (thread < count) {
        const int32_t position = found[tile + thread];
        places.set(threadIdx.x, position);
        rows.set(threadIdx.x, static_cast<int32_t>(index[position] - begin));
      }
      __syncthreads();
      for (int32_t k = 0; k < count; ++k) {
        if (rows.get(static_cast<size_t>(k)) == thread) f(places.get(static_cast<size_t>(k)));
      }
      __syncthreads();
    }
  };
  int32_t count = 0;
  each_position([&](int32_t) { ++count; });
  int32_t at = first + sum_below(count, scratch);
  if (own < end) segments[own] = {at, count};
  each_position([&](int32_t position) { order[at++] = position; });
}

// table[v] (+)= the sum of the rows of x at the positions of v, in their order.
template <class T, int width>
__global__ void sum_positions(const T* __restrict__ x, const int32_t* __restrict__ order,
                              const Segment* __restrict__ segments, T* __restrict__ table,
                              int64_t table_rows, int64_t columns, bool add) {
  const int64_t v = block_row();
  if (v >= table_rows) return;
  const Segment mine = segments[v];
  if (mine.count == 0 && add) return;
  for (int64_t c = int64_t{threadIdx.x} * width; c < columns; c += int64_t{blockDim.x} * width) {
    T* to = table + v * columns + c;
    Lanes<T, width> sum = {};
    if (add) sum = load_lanes<width>(to);
#pragma unroll 8
    for (int32_t k = mine.first; k < mine.first + mine.count; ++k) {
      const auto value = load_lanes<width>(x + order[k] * columns + c);
#pragma unroll
      for (int l = 0; l < width; ++l) sum.lane[l] += value.lane[l];
    }
    store_lanes(to, sum);
  }
}

// table [rows, columns] (+)= the rows of x [n, columns], each at its index.
template <class T>
void launch_sums_by_index(const char* op, const T* x, const int32_t* index, int64_t n, T* table,
                          int64_t rows, int64_t columns, bool add) {
  if (rows == 0 || columns == 0 || (n == 0 && add)) return;
  check(n < INT32_MAX - int64_t{kOrderRows}, op, "fewer than 2^31 - 257 indices, got ", n);
  Scratch memory(static_cast<size_t>(rows) * sizeof(Segment) +
                 2 * static_cast<size_t>(n) * sizeof(int32_t));
  auto* const segments = memory.as<Segment>();
  auto* const found = reinterpret_cast<int32_t*>(segments + rows);
  int32_t* const order = found + n;
  launch(op, order_positions<int32_t>,
         Launch{dim3(blocks_for(rows, kOrderRows, INT32_MAX)), dim3(kOrderRows),
                (kWarp + 2 * kOrderRows) * sizeof(int32_t)},
         index, n, rows, found, order, segments);
  visit_move<T>(
      columns,
      [&](auto width) {
        launch(op, sum_positions<T, width>, short_rows(rows, columns / width), x, order, segments,
               table, rows, columns, add);
      },
      x, table);
}

}  // namespace enas::cuda
