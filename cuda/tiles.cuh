// A tiled product whose operands are formed as they are loaded: c[m x n] = sum over k of
// A(line m, k) B(line n, k). A convolution and its two gradients are this product with other
// operands; nothing is unrolled into memory. A block computes TM x TN of c, a thread 4 x 4 of it,
// over slices of 16 of k that pass through shared memory, the next one loading meanwhile. Grids of
// several layers part k; tile_parts() and sum_parts() add them in order, without atomics.
//
// An operand has a `Line` that says what line(first) stands for, once a thread, and
// fetch(line, k, end, v), which gives four values: of k, k + 1, ... < end where kAlongDepth, else
// of lines first, first + 1, ... at k; zeros outside.
#pragma once
#include <algorithm>

#include "cuda/elementwise.cuh"

namespace enas::cuda {

constexpr int kTileDepth = 16;
constexpr unsigned kTileThreads = 256;

template <class T>
struct alignas(16) Four {
  T lane[4];
};

// What a thread loads of one operand's LINES x kTileDepth, in slices of at most 64 lines.
template <class T, int LINES, class Operand>
class TileLoader {
 public:
  __device__ __forceinline__ TileLoader(const Operand& operand, int first) : operand_(operand) {
#pragma unroll
    for (int s = 0; s < kSlices; ++s) line_[s] = operand.line(first + s * kSlice + row());
  }
  __device__ __forceinline__ void fetch(int k, int end) {
    if (!active()) return;
#pragma unroll
    for (int s = 0; s < kSlices; ++s) operand_.fetch(line_[s], k + depth(), end, value_[s].lane);
  }
  // tile: [kTileDepth][LINES + 4], lines next to each other.
  __device__ __forceinline__ void store(const Shared<T>& tile) const {
    if (!active()) return;
#pragma unroll
    for (int s = 0; s < kSlices; ++s) {
      const int at = depth() * kPitch + s * kSlice + row();
      if constexpr (Operand::kAlongDepth) {
#pragma unroll
        for (int i = 0; i < 4; ++i)
          tile.set(static_cast<size_t>(at + i * kPitch), value_[s].lane[i]);
      } else {
        tile.template set_as<Four<T>>(static_cast<size_t>(at), value_[s]);
      }
    }
  }
  static constexpr int kPitch = LINES + 4;

 private:
  static constexpr int kSlice = LINES < 64 ? LINES : 64, kSlices = LINES / kSlice;
  static constexpr int kAcross = Operand::kAlongDepth ? kTileDepth / 4 : kSlice / 4;
  __device__ static bool active() { return threadIdx.x < kSlice * kTileDepth / 4; }
  __device__ static int major() { return static_cast<int>(threadIdx.x) / kAcross; }
  __device__ static int minor() { return static_cast<int>(threadIdx.x) % kAcross * 4; }
  __device__ static int row() { return Operand::kAlongDepth ? major() : minor(); }
  __device__ static int depth() { return Operand::kAlongDepth ? minor() : major(); }

  const Operand& operand_;
  typename Operand::Line line_[kSlices];
  Four<T> value_[kSlices] = {};
};

// Where the product goes: rows of n values. mask: zero where it is not positive.
template <class T>
struct TileOutput {
  T* to = nullptr;
  const T* mask = nullptr;
  bool add = false;
  int64_t layer = 0;  // values between the results of the layers of the grid

  __device__ __forceinline__ void put(int64_t at, T value) const {
    if (mask != nullptr && !(mask[at] > T(0))) value = T(0);
    T* const place = to + blockIdx.z * layer + at;
    *place = add ? *place + value : value;
  }
};

template <class T, int TM, int TN, class A, class B>
__global__ void __launch_bounds__(kTileThreads, 1)
    tiled_product(const A a, const B b, const TileOutput<T> out, int m, int n, int k, int share) {
  static_assert(TM * TN == 16 * static_cast<int>(kTileThreads));
  using LoadA = TileLoader<T, TM, A>;
  using LoadB = TileLoader<T, TN, B>;
  ENAS_SHARED(memory);
  constexpr size_t kSizeA = kTileDepth * LoadA::kPitch, kSizeB = kTileDepth * LoadB::kPitch;
  const Shared<T> tile_a(memory, 0, kSizeA), tile_b(memory, kSizeA * sizeof(T), kSizeB);
  const int row = static_cast<int>(blockIdx.x) * TM, column = static_cast<int>(blockIdx.y) * TN;
  const int begin = static_cast<int>(blockIdx.z) * share, end = std::min(k, begin + share);
  LoadA load_a(a, row);
  LoadB load_b(b, column);
  const int ty = static_cast<int>(threadIdx.x) / (TN / 4) * 4;
  const int tx = static_cast<int>(threadIdx.x) % (TN / 4) * 4;
  T sum[4][4] = {};
  load_a.fetch(begin, end);
  load_b.fetch(begin, end);
  for (int at = begin; at < end; at += kTileDepth) {
    load_a.store(tile_a);
    load_b.store(tile_b);
    __syncthreads();
    load_a.fetch(at + kTileDepth, end);
    load_b.fetch(at + kTileDepth, end);
#pragma unroll
    for (int d = 0; d < kTileDepth; ++d) {
      const auto x = tile_a.template get_as<Four<T>>(static_cast<size_t>(d * LoadA::kPitch + ty));
      const auto y = tile_b.template get_as<Four<T>>(static_cast<size_t>(d * LoadB::kPitch + tx));
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[i][j] += x.lane[i] * y.lane[j];
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (row + ty + i < m && column + tx + j < n)
        out.put(int64_t{row + ty + i} * n + column + tx + j, sum[i][j]);
    }
  }
}

// out (+)= the sum of `parts` arrays of n values, in order.
template <class T>
__global__ void __launch_bounds__(kMapThreads)
    sum_parts(const T* __restrict__ partial, int parts, int64_t n, T* __restrict__ out, bool add) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    T total = add ? out[i] : T(0);
    for (int p = 0; p < parts; ++p) total += partial[p * n + i];
    out[i] = total;
  }
}

// c (+)= A B, `out` as tiled_product takes it. Layers: how many parts k is cut into.
template <class T, class A, class B>
void launch_product(const char* op, const A& a, const B& b, const TileOutput<T>& out, int64_t m,
                    int64_t n, int64_t k, int64_t parts = 1) {
  constexpr int64_t kMost = (int64_t{1} << 31) - 256;
  check(m < kMost && n < kMost && k < kMost, op, "more than 2^31 rows: [", m, " x ", k, " x ", n,
        "]; use a smaller batch");
  const int64_t steps = (k + kTileDepth - 1) / kTileDepth;
  const auto share = static_cast<int>((steps + parts - 1) / parts * kTileDepth);
  const auto run = [&](auto kernel, int64_t tm, int64_t tn) {
    const Launch how{dim3(static_cast<unsigned>((m + tm - 1) / tm),
                          static_cast<unsigned>((n + tn - 1) / tn), static_cast<unsigned>(parts)),
                     dim3(kTileThreads),
                     static_cast<size_t>(kTileDepth * (tm + tn + 8)) * sizeof(T)};
    launch(op, kernel, how, a, b, out, static_cast<int>(m), static_cast<int>(n),
           static_cast<int>(k), share);
  };
  if (n <= 32) return run(tiled_product<T, 128, 32, A, B>, 128, 32);
  run(tiled_product<T, 64, 64, A, B>, 64, 64);
}

// The gradient of a weight, m x n values summed over k pixels: parts of the pixels by themselves,
// as many as shape and a large GPU ask for, then their sum.
template <class T, class A, class B>
void launch_weight_gradient(const char* op, const A& a, const B& b, T* dw, bool add, int64_t m,
                            int64_t n, int64_t k) {
  if (m == 0 || n == 0) return;
  constexpr int64_t kBlocks = 264, kLeast = 256;  // blocks wanted; pixels a part
  const int64_t tiles = (m + 63) / 64 * ((n + 63) / 64);
  const int64_t parts = std::clamp<int64_t>(kBlocks / tiles, 1, std::max<int64_t>(k / kLeast, 1));
  if (parts == 1) return launch_product(op, a, b, TileOutput<T>{dw, nullptr, add, 0}, m, n, k);
  Scratch partial(static_cast<size_t>(parts * m * n) * sizeof(T));
  launch_product(op, a, b, TileOutput<T>{partial.as<T>(), nullptr, false, m * n}, m, n, k, parts);
  launch(op, sum_parts<T>, Launch{dim3(blocks_for(m * n, kMapThreads)), dim3(kMapThreads)},
         partial.as<T>(), static_cast<int>(parts), m * n, dw, add);
}

// Four lines of a matrix stored by depth: value(line, k) = p[k * lines + line], f = relu where
// wanted.
template <class T>
struct DepthMajor {
  static constexpr bool kAlongDepth = false;
  using Line = int;
  const T* p;
  int lines;
  bool relu = false;

  __device__ __forceinline__ Line line(int first) const { return first; }
  __device__ __forceinline__ void fetch(Line first, int k, int end, T (&v)[4]) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const bool inside = k < end && first + i < lines;
      v[i] = inside ? __ldg(p + int64_t{k} * lines + first + i) : T(0);
      if (relu && v[i] < T(0)) v[i] = T(0);
    }
  }
};

// The transpose of weights [taps][lines][channels]: value(line, (tap, channel)).
template <class T>
struct TurnedWeights {
  static constexpr bool kAlongDepth = true;
  using Line = int;
  const T* w;
  int lines, channels;

  __device__ __forceinline__ Line line(int first) const { return first; }
  __device__ __forceinline__ void fetch(Line line, int k, int end, T (&v)[4]) const {
    int tap = k / channels, c = k - tap * channels;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const bool inside = k + i < end && line < lines;
      v[i] = inside ? __ldg(w + (int64_t{tap} * lines + line) * channels + c) : T(0);
      if (++c == channels) c = 0, ++tap;
    }
  }
};

}  // namespace enas::cuda
