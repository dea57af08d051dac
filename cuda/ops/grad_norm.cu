// Kernel of ops/grad_norm.h: a block a piece of some value; the block that ends last adds the
// pieces' sums, in their order, and makes the gate.
#include "ops/grad_norm.h"

#include <cmath>

#include "cuda/launch.cuh"
#include "cuda/pieces.cuh"
#include "cuda/reduce.cuh"
#include "cuda/sync.cuh"

namespace enas::cuda {
namespace {

// This thread's part of a piece. As on the CPU, elements are added up as T, squares in double, and
// a decay of 0 does not read the values.
template <class T>
__device__ double square_sum(const PieceItem& item, const Piece& piece) {
  const T* __restrict__ grad = piece_of<const T>(item.grad, piece);
  const T* __restrict__ value = item.decay == 0 ? nullptr : piece_of<const T>(item.value, piece);
  const T decay = static_cast<T>(item.decay);
  double sum = 0;
  const auto add = [&](T g, T v) {
    const double d = static_cast<double>(g + decay * v);
    sum += d * d;
  };
  const int64_t n = piece.end - piece.begin, packs = item.aligned ? n / Pack<T>::kWidth : 0;
#pragma unroll 4
  for (int64_t i = threadIdx.x; i < packs; i += blockDim.x) {
    const Pack<T> g = grad ? load_pack(grad, i) : Pack<T>{};
    const Pack<T> v = value ? load_pack(value, i) : Pack<T>{};
#pragma unroll
    for (int k = 0; k < Pack<T>::kWidth; ++k) add(g.lane[k], v.lane[k]);
  }
  for (int64_t i = packs * Pack<T>::kWidth + threadIdx.x; i < n; i += blockDim.x) {
    add(grad ? grad[i] : 0, value ? value[i] : 0);
  }
  return sum;
}

struct GateInputs {
  double clip;
  const void* loss;
  bool loss_is_f64;
  const double* previous;  // may be null
};

__device__ bool is_finite(double x) { return x - x == 0; }

__device__ void make_gate(double norm, const GateInputs& in, double* gate) {
  const double loss = in.loss_is_f64 ? *static_cast<const double*>(in.loss)
                                     : static_cast<double>(*static_cast<const float*>(in.loss));
  const bool open = in.previous == nullptr || in.previous[kGateFinite] == 1;
  double factor = 1;
  if (in.clip != 0) {
    factor = is_finite(norm) ? in.clip / (norm + 1e-6) : 0;
    factor = factor > 1 ? 1 : factor;
  }
  gate[kGateNorm] = norm;
  gate[kGateFactor] = factor;
  gate[kGateFinite] = open && is_finite(norm) && is_finite(loss) ? 1 : 0;
  gate[kGateLoss] = loss;
}

__global__ void norm_pieces(PieceView table, GateInputs in, double* partial, double* gate,
                            unsigned int* counter) {
  ENAS_SHARED(shared);
  const Shared<double> scratch(shared, 0, kWarp);
  const Shared<unsigned int> arrival(shared, kWarp * sizeof(double), 1);
  double sum = 0;
  if (blockIdx.x < table.piece_count) {
    const Piece piece = table.pieces[blockIdx.x];
    const PieceItem item = table.items[piece.item];
    sum = item.is_f64 ? square_sum<double>(item, piece) : square_sum<float>(item, piece);
  }
  sum = block_reduce<Sum>(sum, scratch);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
  if (!last_block(counter, arrival)) return;
  double total = 0;
  for (unsigned p = threadIdx.x; p < gridDim.x; p += blockDim.x) total += partial[p];
  total = block_reduce<Sum>(total, scratch);
  if (threadIdx.x == 0) make_gate(std::sqrt(total), in, gate);
}

}  // namespace

void grad_norm(std::span<const UpdateItem> items, double clip, const Tensor& loss,
               const Tensor& previous, Tensor& gate) {
  const PieceTable table = update_table(items);
  Scratch partial(table.blocks() * sizeof(double));
  const GateInputs in{clip, loss.raw(), loss.dtype() == DType::f64,
                      previous.defined() ? previous.data<double>() : nullptr};
  const Launch how{dim3(table.blocks()), dim3(256), kWarp * sizeof(double) + sizeof(unsigned int)};
  launch("grad_norm", norm_pieces, how, table.view(), in, partial.as<double>(), gate.data<double>(),
         zeroed_words());
}

}  // namespace enas::cuda
