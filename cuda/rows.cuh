// Row-wise kernels of the softmax family: which threads a row has, and its elements in registers. A
// row of at most 128 columns is a warp's, eight rows a block; a wider row is a block's.
#pragma once
#include <algorithm>
#include <cmath>

#include "cuda/launch.cuh"
#include "cuda/reduce.cuh"

namespace enas::cuda {

// width elements in one move.
template <class T, int width>
struct alignas(sizeof(T) * width) Lanes {
  T lane[width];
};
template <int width, class T>
__device__ __forceinline__ Lanes<T, width> load_lanes(const T* at) {
  return *reinterpret_cast<const Lanes<T, width>*>(at);
}
template <class T, int width>
__device__ __forceinline__ void store_lanes(T* at, const Lanes<T, width>& value) {
  *reinterpret_cast<Lanes<T, width>*>(at) = value;
}
// to (+)= value
template <class T, int width>
__device__ __forceinline__ void put_lanes(T* to, Lanes<T, width> value, bool add) {
  if (add) {
    const Lanes<T, width> before = load_lanes<width>(to);
#pragma unroll
    for (int i = 0; i < width; ++i) value.lane[i] += before.lane[i];
  }
  store_lanes(to, value);
}

// Moves of kWidth elements; a thread keeps the first kChunks of them in registers.
template <int width, int chunks, bool warp_row>
struct RowLayout {
  static constexpr int kWidth = width, kChunks = chunks;
  static constexpr bool kWarpRow = warp_row;
};
constexpr int kWarpRowColumns = 128;
constexpr int kBlockRowThreads = 512;  // at most: for __launch_bounds__
using WarpRow = RowLayout<1, kWarpRowColumns / static_cast<int>(kWarp), true>;
template <int width>  // five moves of 16 bytes hold 10240 columns of float
using BlockRow = RowLayout<width, width == 1 ? 8 : 5, false>;

// This thread's place in its row.
template <class Layout>
struct RowThreads {
  int64_t index;
  int columns, lane, lanes;  // 32 bits: addresses of columns then cost no registers

  __device__ explicit RowThreads(int64_t row_columns) : columns(static_cast<int>(row_columns)) {
    if constexpr (Layout::kWarpRow) {
      index = blockIdx.x * int64_t{blockDim.x / kWarp} + threadIdx.x / kWarp;
      lane = static_cast<int>(threadIdx.x % kWarp);
      lanes = static_cast<int>(kWarp);
    } else {
      index = blockIdx.x;
      lane = static_cast<int>(threadIdx.x);
      lanes = static_cast<int>(blockDim.x);
    }
  }
  // f(k, c) for each move of this thread, c its first column; k is kChunks beyond the registers.
  template <class F>
  __device__ __forceinline__ void each(F f) const {
    const int step = lanes * Layout::kWidth;
    int c = lane * Layout::kWidth;
#pragma unroll
    for (int k = 0; k < Layout::kChunks; ++k, c += step) {
      if (c < columns) f(k, c);
    }
    if constexpr (!Layout::kWarpRow) {
      for (; c < columns; c += step) f(Layout::kChunks, c);
    }
  }
  // Over the row's threads; each gets the result. What they read before is read before any of them
  // writes after.
  template <class Join, class T>
  __device__ __forceinline__ T reduce(T value, const Shared<T>& scratch) const {
    if constexpr (Layout::kWarpRow) {
      value = warp_reduce<Join>(value);
      __syncwarp();
      return value;
    } else {
      return block_reduce<Join>(value, scratch);
    }
  }
};

// A row of x: read once from memory as far as registers go, beyond that again on each visit.
template <class T, class Layout>
class RowValues {
 public:
  using Move = Lanes<T, Layout::kWidth>;
  __device__ RowValues(const RowThreads<Layout>& row, const T* x)
      : row_(x + row.index * row.columns) {
    const int step = row.lanes * Layout::kWidth;
    int c = row.lane * Layout::kWidth;
#pragma unroll
    for (int k = 0; k < Layout::kChunks; ++k, c += step) {
      if (c < row.columns) kept_[k] = load_lanes<Layout::kWidth>(row_ + c);
    }
  }
  __device__ __forceinline__ Move at(int k, int c) const {
    return k < Layout::kChunks ? kept_[k] : load_lanes<Layout::kWidth>(row_ + c);
  }
  // The sum (maximum, ...) of f(element) over the row.
  template <class Join, class F>
  __device__ __forceinline__ T fold(const RowThreads<Layout>& row, const Shared<T>& scratch,
                                    T start, F f) const {
    row.each([&](int k, int c) {
      const Move values = at(k, c);
#pragma unroll
      for (int i = 0; i < Layout::kWidth; ++i) start = Join::join(start, f(values.lane[i]));
    });
    return row.template reduce<Join>(start, scratch);
  }

 private:
  Move kept_[Layout::kChunks];
  const T* row_;
};

// Ignores NaN, which the sum of exponentials then shows.
struct Most {
  template <class T>
  __device__ static T join(T a, T b) {
    return std::fmax(a, b);
  }
};

// m = max x and s = sum exp(x - m) of a row.
template <class T>
struct RowStatistics {
  T top, total;
};
template <class T, class Layout>
__device__ __forceinline__ RowStatistics<T> row_statistics(const RowThreads<Layout>& row,
                                                           const RowValues<T, Layout>& x,
                                                           const Shared<T>& scratch) {
  const T top =
      x.template fold<Most>(row, scratch, static_cast<T>(-INFINITY), [](T v) { return v; });
  const T total =
      x.template fold<Sum>(row, scratch, T(0), [top](T v) { return std::exp(v - top); });
  return {top, total};
}

// f(layout, launch) for rows of so many columns; moves of 16 bytes where all of `at` are aligned
// and stay so from row to row. The launch has shared memory for reduce().
template <class T, class F, class... P>
void visit_row_layout(int64_t rows, int64_t columns, F f, const P*... at) {
  constexpr size_t kShared = kWarp * sizeof(T);
  constexpr int kWidth = 16 / sizeof(T);
  const auto count = [](int64_t n) { return dim3(static_cast<unsigned>(n)); };
  if (columns <= kWarpRowColumns) {
    f(WarpRow{}, Launch{count((rows + 7) / 8), dim3(8 * kWarp), kShared});
    return;
  }
  // Eight elements a thread, more where that would take too many threads.
  const int64_t warps =
      std::min<int64_t>((columns + 8 * kWarp - 1) / (8 * kWarp), kBlockRowThreads / kWarp);
  const Launch how{count(rows), count(warps * kWarp), kShared};
  const bool aligned =
      columns % kWidth == 0 && ((reinterpret_cast<uintptr_t>(at) % 16 == 0) && ...);
  if (aligned) {
    f(BlockRow<kWidth>{}, how);
  } else {
    f(BlockRow<1>{}, how);
  }
}

}  // namespace enas::cuda
