// Kernels of ops/lstm_cell.h: the gates around its products, and for few rows, as a controller has,
// the whole step. The arithmetic of the gates is ops/cell_rows.h.
#include "ops/lstm_cell.h"

#include "cuda/cells.cuh"
#include "ops/cell_input.h"
#include "ops/cell_rows.h"
#include "ops/matmul.h"

namespace enas::cuda {
namespace {

template <class T>
__global__ void lstm_forward(const T* __restrict__ c, T* __restrict__ z, T* __restrict__ h_next,
                             T* __restrict__ c_next, int64_t rows, int64_t n) {
  const int64_t j = thread_index();
  if (j >= n) return;
  scalar::One at;
  for (int64_t r = blockIdx.y; r < rows; r += gridDim.y) {
    scalar::lstm_at(c + r * n, z + r * 4 * n, h_next + r * n, c_next + r * n, n, j, at);
  }
}

template <class T>
__device__ __forceinline__ T* row_or_null(T* p, int64_t at) {
  return p != nullptr ? p + at : nullptr;
}

template <class T>
__global__ void lstm_backward(const T* __restrict__ gates, const T* __restrict__ c,
                              const T* __restrict__ c_next, const T* __restrict__ dh,
                              const T* __restrict__ dc_next, T* __restrict__ dz, T* __restrict__ dc,
                              bool add, int64_t rows, int64_t n) {
  const int64_t j = thread_index();
  if (j >= n) return;
  scalar::One at;
  for (int64_t r = blockIdx.y; r < rows; r += gridDim.y) {
    scalar::lstm_back_at(gates + r * 4 * n, c + r * n, c_next + r * n, row_or_null(dh, r * n),
                         row_or_null(dc_next, r * n), dz + r * 4 * n, row_or_null(dc, r * n), add,
                         n, j, at);
  }
}

constexpr int kUnits = 8;  // cells a block; the lanes of a warp are their four gates
constexpr int kStepWarps = 8;

struct StepSize {
  unsigned rows;
  int64_t inputs, cells;  // columns of x and of h
};

// A block makes kUnits cells of all rows: [x, h] is staged in shared memory, the warps share the
// inner axis among them, and their sums are added in order of the warps.
template <unsigned kRows, class T>
__global__ void lstm_step(const T* __restrict__ x, const T* __restrict__ h, const T* __restrict__ c,
                          const T* __restrict__ w, T* __restrict__ input, T* __restrict__ z,
                          T* __restrict__ h_next, T* __restrict__ c_next, StepSize size) {
  ENAS_SHARED(shared);
  const int64_t n = size.cells, depth = size.inputs + n;
  const auto staged_count = static_cast<size_t>(depth * kRows);
  const Shared<T> staged(shared, 0, staged_count);  // [depth][kRows]
  const Shared<T> partial(shared, staged_count * sizeof(T), kStepWarps * kRows * kWarp);
  for (int64_t i = threadIdx.x; i < depth * kRows; i += blockDim.x) {
    const int64_t r = i % kRows, k = i / kRows;
    T value = 0;
    if (r < size.rows) {
      value = k < size.inputs ? x[r * size.inputs + k] : h[r * n + k - size.inputs];
      if (blockIdx.x == 0) input[r * depth + k] = value;
    }
    staged.set(static_cast<size_t>(i), value);
  }
  __syncthreads();
  const unsigned lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int64_t first = int64_t{blockIdx.x} * kUnits, j = first + lane % kUnits;
  T sums[kRows] = {};
  if (j < n) {
    const T* const column = w + lane / kUnits * n + j;
#pragma unroll 8
    for (int64_t k = warp; k < depth; k += kStepWarps) {
      const T weight = column[k * 4 * n];
#pragma unroll
      for (unsigned r = 0; r < kRows; ++r) {
        sums[r] += weight * staged.get(static_cast<size_t>(k * kRows + r));
      }
    }
  }
#pragma unroll
  for (unsigned r = 0; r < kRows; ++r) partial.set((warp * kRows + r) * kWarp + lane, sums[r]);
  __syncthreads();
  const unsigned row = threadIdx.x / kUnits, unit = threadIdx.x % kUnits;
  const int64_t cell = first + unit;
  if (row >= size.rows || cell >= n) return;
  for (unsigned gate = 0; gate < 4; ++gate) {
    T total = 0;
    for (unsigned v = 0; v < kStepWarps; ++v) {
      total += partial.get((v * kRows + row) * kWarp + gate * kUnits + unit);
    }
    z[row * 4 * n + gate * n + cell] = total;
  }
  scalar::One at;
  scalar::lstm_at(c + row * n, z + row * 4 * n, h_next + row * n, c_next + row * n, n, cell, at);
}

template <class T>
const T* data_or_null(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}

template <class T>
size_t step_bytes(int64_t most_rows, int64_t depth) {
  return static_cast<size_t>(most_rows * (depth + kStepWarps * int64_t{kWarp})) * sizeof(T);
}
constexpr size_t kMostShared = size_t{96} << 10;  // every GPU from sm_80 on has it

}  // namespace

void lstm_forward(const Tensor& x, const Tensor& h, const Tensor& c, const Tensor& w, Tensor& input,
                  Tensor& gates, Tensor& h_next, Tensor& c_next) {
  if (c.numel() == 0) return;
  const int64_t rows = x.size(0), n = c.size(1), depth = input.size(1);
  visit_real(c.dtype(), "lstm_cell", [&](auto tag) {
    using T = decltype(tag);
    visit_few_rows(rows, [&](auto most) {
      const size_t bytes = step_bytes<T>(most.value, depth);
      if (rows > kFewRows || bytes > kMostShared) {
        masked_columns(x, {}, h, {}, input);
        matmul(input, w, gates, Transpose::no, Transpose::no, Into::write);
        return lstm_gates_forward(c, gates, h_next, c_next);
      }
      const Launch how{dim3(static_cast<unsigned>((n + kUnits - 1) / kUnits)),
                       dim3(kStepWarps * kWarp), bytes};
      launch("lstm_cell", lstm_step<most.value, T>, how, x.data<T>(), h.data<T>(), c.data<T>(),
             w.data<T>(), input.data<T>(), gates.data<T>(), h_next.data<T>(), c_next.data<T>(),
             StepSize{static_cast<unsigned>(rows), x.size(1), n});
    });
  });
}

void lstm_gates_forward(const Tensor& c, Tensor& z, Tensor& h_next, Tensor& c_next) {
  if (c.numel() == 0) return;
  const int64_t rows = c.size(0), n = c.size(1);
  visit_real(c.dtype(), "lstm_cell", [&](auto tag) {
    using T = decltype(tag);
    launch("lstm_cell", lstm_forward<T>, row_launch(rows, n), c.data<T>(), z.data<T>(),
           h_next.data<T>(), c_next.data<T>(), rows, n);
  });
}

void lstm_gates_backward(const Tensor& gates, const Tensor& c, const Tensor& c_next,
                         const Tensor& dh, const Tensor& dc_next, Tensor& dz, Tensor* dc,
                         Into into) {
  if (c.numel() == 0) return;
  const int64_t rows = c.size(0), n = c.size(1);
  visit_real(c.dtype(), "lstm_cell", [&](auto tag) {
    using T = decltype(tag);
    T* const down = dc != nullptr ? dc->data<T>() : nullptr;
    launch("lstm_cell", lstm_backward<T>, row_launch(rows, n), gates.data<T>(), c.data<T>(),
           c_next.data<T>(), data_or_null<T>(dh), data_or_null<T>(dc_next), dz.data<T>(), down,
           into == Into::add, rows, n);
  });
}

}  // namespace enas::cuda
