// Kernel of ops/sample.h with the arithmetic of ops/choose.h: a block a row. Its threads compute
// the exponentials, a tile at a time; one thread sums them in the order of the logits, as the CPU
// does, so that both draw the same actions.
#include "ops/sample.h"

#include "cuda/rows.cuh"
#include "cuda/sync.cuh"

namespace enas::cuda {
namespace {

struct Samples {
  int32_t* actions;
  double *log_prob, *entropy;
};

template <class T>
__global__ void sample_rows(const T* __restrict__ x, int32_t n, const Random random,
                            uint64_t first_index, const Samples out, Fault* fault) {
  ENAS_SHARED(shared);
  const Shared<double> scratch(shared, 0, kWarp);
  const Shared<double> weights(shared, kWarp * sizeof(double), blockDim.x);
  const Shared<double> terms(shared, (kWarp + blockDim.x) * sizeof(double), blockDim.x);
  const int64_t r = blockIdx.x;
  const T* logits = x + r * n;
  const auto thread = static_cast<int32_t>(threadIdx.x), tile = static_cast<int32_t>(blockDim.x);

  Partition row;  // its sums are thread 0's
  for (int32_t j = thread; j < n; j += tile) row.see(static_cast<double>(logits[j]));
  row.top = block_reduce<Most>(row.top, scratch);
  // read(j, k) by thread 0 for all j in order, k being the place of j in the tile.
  const auto in_order = [&](auto read) {
    for (int32_t first = 0; first < n; first += tile) {
      if (first + thread < n) {
        const double distance = static_cast<double>(logits[first + thread]) - row.top;
        const double weight = std::exp(distance);
        weights.set(threadIdx.x, weight);
        terms.set(threadIdx.x, Partition::term(weight, distance));
      }
      __syncthreads();
      for (int32_t k = 0; thread == 0 && k < tile && first + k < n; ++k) {
        read(first + k, static_cast<size_t>(k));
      }
      __syncthreads();
    }
  };
  in_order([&](int32_t, size_t k) { row.add(weights.get(k), terms.get(k)); });
  Inversion walk(random.uniform53(first_index + static_cast<uint64_t>(r)), row);
  bool found = false;
  in_order([&](int32_t j, size_t k) { found = found || walk.visit(j, weights.get(k)); });
  if (thread != 0) return;
  const bool usable = row.usable();
  if (!usable) report_fault(fault, FaultOp::sample_categorical, 0, r, 0);
  const Choice choice = usable ? row.choice(walk.action, static_cast<double>(logits[walk.action]))
                               : Choice{0, NAN, NAN};
  out.actions[r] = choice.action;
  out.log_prob[r] = choice.log_prob;
  out.entropy[r] = choice.entropy;
}

}  // namespace

void sample_categorical(const Tensor& logits, const Random& random, uint64_t first_index,
                        CategoricalResult& out) {
  const int64_t rows = logits.size(0), n = logits.size(1);
  const unsigned threads = n <= 32 ? 32 : n <= 1024 ? 128 : 256;
  const Launch how{dim3(static_cast<unsigned>(rows)), dim3(threads),
                   (kWarp + 2 * threads) * sizeof(double)};
  const Samples samples{out.actions.data<int32_t>(), out.log_prob.data<double>(),
                        out.entropy.data<double>()};
  visit_real(logits.dtype(), "sample_categorical", [&](auto tag) {
    using T = decltype(tag);
    launch("sample_categorical", sample_rows<T>, how, logits.data<T>(), n, random, first_index,
           samples, fault());
  });
}

}  // namespace enas::cuda
