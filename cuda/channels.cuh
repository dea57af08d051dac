// Sums by channel over rows of C, in a fixed order: a block takes some rows, its threads (row,
// channel) neighbours in memory; rows are folded through shared memory, blocks by a warp a channel.
// Statistics are joined as the CPU joins them (ops/channel_moments.h).
#pragma once
#include <algorithm>
#include <cmath>

#include "cuda/elementwise.cuh"
#include "cuda/reduce.cuh"
#include "ops/batch_norm.h"

namespace enas::cuda {

constexpr unsigned kChannelThreads = 256;

// How [rows, channels] is cut. Blocks along x take `block_rows` rows, along y `wide` channels.
struct ChannelCut {
  int64_t rows = 0, block_rows = 1;
  int channels = 1, wide = 1;

  ChannelCut(int64_t n_rows, int64_t n_channels)
      : rows(n_rows),
        channels(static_cast<int>(n_channels)),
        wide(std::min(channels, static_cast<int>(kChannelThreads))) {
    // Eight rows a thread or more, and at most 512 blocks to join.
    const int64_t least = int64_t{8} * (static_cast<int>(kChannelThreads) / wide);
    block_rows = std::max(least, (rows + 511) / 512);
  }
  int64_t blocks() const { return (rows + block_rows - 1) / block_rows; }
  Launch launch_with(size_t shared_bytes, unsigned along_z = 1) const {
    return {dim3(static_cast<unsigned>(blocks()),
                 static_cast<unsigned>((channels + wide - 1) / wide), along_z),
            dim3(kChannelThreads), shared_bytes};
  }
};

// What a thread of such a block does.
struct ChannelThread {
  int channel, first, step;  // rows first, first + step, ... of the block
  bool works;
  __device__ explicit ChannelThread(const ChannelCut& cut) {
    const int t = static_cast<int>(threadIdx.x);
    step = static_cast<int>(kChannelThreads) / cut.wide;
    first = t / cut.wide;
    channel = static_cast<int>(blockIdx.y) * cut.wide + t % cut.wide;
    works = first < step && channel < cut.channels;
  }
};

// The sum over the block's rows; valid in the threads with first == 0. scratch: kChannelThreads.
template <class T>
__device__ T fold_rows(T value, const ChannelCut& cut, const ChannelThread& self,
                       const Shared<T>& scratch) {
  scratch.set(threadIdx.x, value);
  __syncthreads();
  T total = value;
  if (self.first == 0) {
    for (int r = 1; r < self.step; ++r) {
      total += scratch.get(threadIdx.x + static_cast<unsigned>(r * cut.wide));
    }
  }
  __syncthreads();
  return total;
}

// Moments [blocks][2][C] of what `source` gives: source.first(i, row, channel), then
// source.again(i), where i is the element's index.
template <class T, class Source>
__global__ void __launch_bounds__(kChannelThreads)
    block_moments(const Source source, const ChannelCut cut, T* __restrict__ moments) {
  ENAS_SHARED(bytes);
  const Shared<T> scratch(bytes, 0, kChannelThreads);
  const ChannelThread self(cut);
  const int64_t begin = blockIdx.x * cut.block_rows;
  const int64_t end = begin + cut.block_rows < cut.rows ? begin + cut.block_rows : cut.rows;
  T total = 0;
  if (self.works) {
    for (int64_t r = begin + self.first; r < end; r += self.step) {
      total += source.first(r * cut.channels + self.channel, r, self.channel);
    }
  }
  total = fold_rows(total, cut, self, scratch);
  if (self.first == 0) scratch.set(threadIdx.x, total / static_cast<T>(end - begin));
  __syncthreads();
  const T mean = scratch.get(threadIdx.x % static_cast<unsigned>(cut.wide));
  __syncthreads();
  T square = 0;
  if (self.works) {
    for (int64_t r = begin + self.first; r < end; r += self.step) {
      const T d = source.again(r * cut.channels + self.channel) - mean;
      square += d * d;
    }
  }
  square = fold_rows(square, cut, self, scratch);
  if (self.works && self.first == 0) {
    T* const out = moments + blockIdx.x * int64_t{2} * cut.channels;
    out[self.channel] = mean;
    out[cut.channels + self.channel] = square;
  }
}

// Rows of block b: `tiles` blocks an image of `rows` rows, each of `tile` but the last.
struct MomentRows {
  int tiles;
  int64_t tile, rows;
  __device__ double of(int b) const {
    const int64_t left = rows - b % tiles * tile;
    return static_cast<double>(left < tile ? left : tile);
  }
};

// A warp a channel: the mean of the blocks' means, then M2 = sum M2_b + n_b (mean_b - mean)^2.
template <class T>
__global__ void __launch_bounds__(kRowThreads)
    join_moments(const T* __restrict__ moments, int blocks, MomentRows rows, int channels,
                 double share, T* __restrict__ mean, T* __restrict__ variance) {
  const int64_t c = warp_index();
  if (c >= channels) return;
  const int first = static_cast<int>(lane_index());
  double centre = 0, square = 0;
  for (int b = first; b < blocks; b += static_cast<int>(kWarp)) {
    centre += rows.of(b) * static_cast<double>(moments[int64_t{b} * 2 * channels + c]);
  }
  centre = warp_reduce<Sum>(centre) * share;
  for (int b = first; b < blocks; b += static_cast<int>(kWarp)) {
    const T* at = moments + int64_t{b} * 2 * channels + c;
    const double d = static_cast<double>(at[0]) - centre;
    square += static_cast<double>(at[channels]) + rows.of(b) * d * d;
  }
  square = warp_reduce<Sum>(square) * share;
  if (first != 0) return;
  mean[c] = static_cast<T>(centre);
  variance[c] = static_cast<T>(square);
}

template <class T>
void launch_join(const char* op, const T* moments, int64_t blocks, const MomentRows& rows,
                 int64_t channels, ChannelStats& stats) {
  launch(op, join_moments<T>, warps_for(channels), moments, static_cast<int>(blocks), rows,
         static_cast<int>(channels),
         1 / (static_cast<double>(blocks / rows.tiles) * static_cast<double>(rows.rows)),
         stats.mean.data<T>(), stats.variance.data<T>());
}

// Statistics of what `source` gives, of [rows, channels].
template <class T, class Source>
void launch_moments(const char* op, const Source& source, int64_t rows, int64_t channels,
                    ChannelStats& stats) {
  const ChannelCut cut(rows, channels);
  Scratch moments(static_cast<size_t>(cut.blocks() * 2 * channels) * sizeof(T));
  launch(op, block_moments<T, Source>, cut.launch_with(kChannelThreads * sizeof(T)), source, cut,
         moments.as<T>());
  launch_join<T>(op, moments.as<T>(), cut.blocks(),
                 {static_cast<int>(cut.blocks()), cut.block_rows, rows}, channels, stats);
}

// A normalisation by channel, as kernels apply it: [4][C] factor, shift, mean, 1 / deviation.
// Without one (`table` null) x is read as it lies.
template <class T>
struct LoadRule {
  const T* table = nullptr;
  int channels = 1;
  bool relu = false;

  __device__ __forceinline__ T z(T x, int c) const {
    return table != nullptr ? x * __ldg(table + c) + __ldg(table + channels + c) : x;
  }
  __device__ __forceinline__ T operator()(T x, int c) const {
    const T value = z(x, c);
    return relu && value < T(0) ? T(0) : value;
  }
  __device__ __forceinline__ bool passes(T x, int c) const { return !relu || z(x, c) > T(0); }
  __device__ __forceinline__ T mean(int c) const {
    return table != nullptr ? __ldg(table + 2 * channels + c) : T(0);
  }
};

template <class T>
__global__ void make_load_table(const T* __restrict__ mean, const T* __restrict__ variance,
                                const T* __restrict__ scale, const T* __restrict__ offset,
                                double epsilon, int channels, T* __restrict__ table) {
  const int64_t c = thread_index();
  if (c >= channels) return;
  const double r = 1 / std::sqrt(static_cast<double>(variance[c]) + epsilon);
  const double factor = static_cast<double>(scale[c]) * r;
  table[c] = static_cast<T>(factor);
  table[channels + c] =
      static_cast<T>(static_cast<double>(offset[c]) - static_cast<double>(mean[c]) * factor);
  table[2 * channels + c] = mean[c];
  table[3 * channels + c] = static_cast<T>(r);
}

// The table of a NormValues, alive as long as this object.
template <class T>
class LoadTable {
 public:
  LoadTable(const char* op, const NormValues& n, int64_t channels)
      : scratch_(n.mean.defined() ? static_cast<size_t>(4 * channels) * sizeof(T) : 0) {
    rule_.channels = static_cast<int>(channels);
    rule_.relu = n.relu;
    if (!n.mean.defined()) return;
    rule_.table = scratch_.as<T>();
    launch(op, make_load_table<T>,
           Launch{dim3(blocks_for(channels, kMapThreads)), dim3(kMapThreads)}, n.mean.data<T>(),
           n.variance.data<T>(), n.scale.data<T>(), n.offset.data<T>(), n.epsilon,
           static_cast<int>(channels), scratch_.as<T>());
  }
  const LoadRule<T>& rule() const { return rule_; }

 private:
  Scratch scratch_;
  LoadRule<T> rule_;
};

// A gradient as a kernel takes it.
template <class T>
struct Out {
  T* at = nullptr;
  bool add = false;
  Out() = default;
  explicit Out(const GradOut& g)
      : at(g.wanted() ? g.tensor->data<T>() : nullptr), add(g.into == Into::add) {}
  __device__ __forceinline__ void put(int64_t i, T value) const {
    if (at != nullptr) at[i] = add ? at[i] + value : value;
  }
};

// What follows from the sums [blocks][2][C] of dz and dz (x - mean): the gradients of scale and
// offset, and dx = by_dz dz + by_x x + rest as a table [3][C]. A warp a channel.
template <class T>
__global__ void __launch_bounds__(kRowThreads)
    finish_norm_sums(const T* __restrict__ sums, int64_t blocks, LoadRule<T> rule, double count,
                     bool batch, Out<T> dscale, Out<T> doffset, T* __restrict__ table) {
  const int64_t c = warp_index();
  const int channels = rule.channels;
  if (c >= channels) return;
  double dz = 0, product = 0;
  for (int64_t b = lane_index(); b < blocks; b += kWarp) {
    dz += static_cast<double>(sums[b * 2 * channels + c]);
    product += static_cast<double>(sums[(b * 2 + 1) * channels + c]);
  }
  dz = warp_reduce<Sum>(dz);
  product = warp_reduce<Sum>(product);
  if (lane_index() != 0) return;
  const auto factor = static_cast<double>(rule.table[c]);
  const auto r = static_cast<double>(rule.table[3 * channels + c]);
  product *= r;
  dscale.put(c, static_cast<T>(product));
  doffset.put(c, static_cast<T>(dz));
  const double slope = batch ? -factor / count * product * r : 0;
  const double mean = static_cast<double>(rule.table[2 * channels + c]);
  table[c] = static_cast<T>(factor);
  table[channels + c] = static_cast<T>(slope);
  table[2 * channels + c] = static_cast<T>(batch ? -factor / count * dz - slope * mean : 0);
}

// dx (+)= by_dz dz + by_x x + rest, dz = keep dy where z passes.
template <class T>
__global__ void norm_gradient(const T* __restrict__ x, const T* dy, const T* __restrict__ keep,
                              int64_t example, LoadRule<T> rule, const T* __restrict__ table,
                              int64_t n, Out<T> dx) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    const int c = static_cast<int>(i % rule.channels);
    const T in = x[i], up = keep != nullptr ? keep[i / example] * dy[i] : dy[i];
    const T dz = rule.passes(in, c) ? up : T(0);
    dx.put(i, __ldg(table + c) * dz + __ldg(table + rule.channels + c) * in +
                  __ldg(table + 2 * rule.channels + c));
  }
}

inline Launch map_launch(int64_t n) {
  return {dim3(blocks_for(n, kMapThreads)), dim3(kMapThreads)};
}

}  // namespace enas::cuda
