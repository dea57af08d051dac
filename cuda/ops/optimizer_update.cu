// Kernels of ops/optimizer_update.h: a block a piece of some value. Each block reads the gate; one
// that is closed ends the kernel before it writes anything.
#include "ops/optimizer_update.h"

#include <cmath>

#include "cuda/launch.cuh"
#include "cuda/pieces.cuh"
#include "cuda/sync.cuh"
#include "ops/update_rules.h"

namespace enas::cuda {
namespace {

// Calls f(value, grad, slot0, slot1) on each element of the piece and stores what it changed: the
// value and the first `slots` slots. 16 bytes a move where all arrays allow it.
template <int slots, class T, class F>
__device__ void for_each_element(const PieceItem& item, const Piece& piece, F&& f) {
  T* __restrict__ value = piece_of<T>(item.value, piece);
  const T* __restrict__ grad = piece_of<const T>(item.grad, piece);
  T* __restrict__ slot0 = piece_of<T>(item.slot0, piece);
  T* __restrict__ slot1 = piece_of<T>(item.slot1, piece);
  const int64_t n = piece.end - piece.begin, packs = item.aligned ? n / Pack<T>::kWidth : 0;
  for (int64_t i = threadIdx.x; i < packs; i += blockDim.x) {
    Pack<T> v = load_pack(value, i), a{}, b{};
    const Pack<T> g = grad ? load_pack(grad, i) : Pack<T>{};
    if constexpr (slots > 0) a = load_pack(slot0, i);
    if constexpr (slots > 1) b = load_pack(slot1, i);
#pragma unroll
    for (int k = 0; k < Pack<T>::kWidth; ++k) f(v.lane[k], g.lane[k], a.lane[k], b.lane[k]);
    store_pack(value, i, v);
    if constexpr (slots > 0) store_pack(slot0, i, a);
    if constexpr (slots > 1) store_pack(slot1, i, b);
  }
  for (int64_t i = packs * Pack<T>::kWidth + threadIdx.x; i < n; i += blockDim.x) {
    T v = value[i], a = 0, b = 0;
    if constexpr (slots > 0) a = slot0[i];
    if constexpr (slots > 1) b = slot1[i];
    f(v, grad ? grad[i] : T{0}, a, b);
    value[i] = v;
    if constexpr (slots > 0) slot0[i] = a;
    if constexpr (slots > 1) slot1[i] = b;
  }
}

// d of the formulas: factor * (grad + decay * value).
template <class T>
struct Direction {
  T decay, factor;
  __device__ Direction(const PieceItem& item, const double* gate)
      : decay(static_cast<T>(item.decay)), factor(static_cast<T>(gate[kGateFactor])) {}
  __device__ T operator()(T value, T grad) const { return factor * (grad + decay * value); }
};

__device__ bool is_open(const double* gate) { return gate[kGateFinite] == 1; }

template <bool momentum, class T>
__device__ void sgd(const SgdRule& rule, const PieceItem& item, const Piece& piece,
                    const double* gate) {
  const SgdStep<T> step(rule);
  const Direction<T> direction(item, gate);
  for_each_element<momentum ? 1 : 0, T>(item, piece, [&](T& value, T grad, T& slot, T&) {
    const T d = direction(value, grad);
    if constexpr (momentum) {
      step.with_momentum(d, value, slot);
    } else {
      step.plain(d, value);
    }
  });
}

template <bool momentum>
__global__ void sgd_pieces(PieceView table, SgdRule rule, const double* gate) {
  if (!is_open(gate)) return;
  const Piece piece = table.pieces[blockIdx.x];
  const PieceItem item = table.items[piece.item];
  if (item.is_f64) {
    sgd<momentum, double>(rule, item, piece, gate);
  } else {
    sgd<momentum, float>(rule, item, piece, gate);
  }
}

template <class T>
__device__ void adam(const AdamRule& rule, const AdamScale& scale, const PieceItem& item,
                     const Piece& piece, const double* gate) {
  const AdamStep<T> step(rule, scale);
  const Direction<T> direction(item, gate);
  for_each_element<2, T>(item, piece, [&](T& value, T grad, T& m, T& v) {
    step(direction(value, grad), value, m, v);
  });
}

// All blocks read an item's count of steps; the block that ends last raises the counts.
__global__ void adam_pieces(PieceView table, AdamRule rule, const double* gate,
                            unsigned int* counter) {
  ENAS_SHARED(shared);
  const Shared<double> scales(shared, 0, 2);
  const Shared<unsigned int> arrival(shared, 2 * sizeof(double), 1);
  if (!is_open(gate)) return;
  if (blockIdx.x < table.piece_count) {
    const Piece piece = table.pieces[blockIdx.x];
    const PieceItem item = table.items[piece.item];
    if (threadIdx.x == 0) {
      const AdamScale scale = adam_scale(rule, *item.step + 1);
      scales.set(0, scale.rate);
      scales.set(1, scale.root_correction);
    }
    __syncthreads();
    const AdamScale scale{scales.get(0), scales.get(1)};
    if (item.is_f64) {
      adam<double>(rule, scale, item, piece, gate);
    } else {
      adam<float>(rule, scale, item, piece, gate);
    }
  }
  if (!last_block(counter, arrival)) return;
  for (int64_t i = threadIdx.x; i < table.item_count; i += blockDim.x) *table.items[i].step += 1;
}

// The first fold copies exactly, whatever the average held.
template <class T>
__device__ void average(const PieceItem& item, const Piece& piece, double count) {
  const T weight = static_cast<T>(1 / count);
  for_each_element<0, T>(item, piece, [&](T& mean, T value, T&, T&) {
    mean = count == 1 ? value : mean + (value - mean) * weight;
  });
}

// An item's value is the average here, its gradient the value that is folded in.
__global__ void average_pieces(PieceView table, double* count, const double* gate,
                               unsigned int* counter) {
  ENAS_SHARED(shared);
  const Shared<unsigned int> arrival(shared, 0, 1);
  if (!is_open(gate)) return;
  const double next = *count + 1;
  if (blockIdx.x < table.piece_count) {
    const Piece piece = table.pieces[blockIdx.x];
    const PieceItem item = table.items[piece.item];
    if (item.is_f64) {
      average<double>(item, piece, next);
    } else {
      average<float>(item, piece, next);
    }
  }
  if (last_block(counter, arrival) && threadIdx.x == 0) *count = next;
}

}  // namespace

void sgd_update(const SgdRule& rule, std::span<UpdateItem> items, const Tensor& gate) {
  const PieceTable table = update_table(items);
  if (table.view().piece_count == 0) return;
  launch("sgd_update", rule.momentum == 0 ? sgd_pieces<false> : sgd_pieces<true>,
         {dim3(table.blocks()), dim3(256)}, table.view(), rule, gate.data<double>());
}

void adam_update(const AdamRule& rule, std::span<UpdateItem> items, const Tensor& gate) {
  if (items.empty()) return;
  const PieceTable table = update_table(items);
  const size_t shared = 2 * sizeof(double) + sizeof(unsigned int);
  launch("adam_update", adam_pieces, {dim3(table.blocks()), dim3(256), shared}, table.view(), rule,
         gate.data<double>(), zeroed_words());
}

void average_update(std::span<AverageItem> items, Tensor& count, const Tensor& gate) {
  std::vector<PieceItem> list;
  std::vector<int64_t> sizes;
  for (AverageItem& item : items) {
    PieceItem entry;
    entry.value = item.average.raw();
    entry.grad = item.value.raw();
    entry.is_f64 = item.value.dtype() == DType::f64;
    list.push_back(entry);
    sizes.push_back(item.value.numel());
  }
  const PieceTable table(std::move(list), sizes);
  launch("average_update", average_pieces, {dim3(table.blocks()), dim3(256), sizeof(unsigned int)},
         table.view(), count.data<double>(), gate.data<double>(), zeroed_words());
}

}  // namespace enas::cuda
