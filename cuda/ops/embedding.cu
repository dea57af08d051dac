// Kernels of ops/embedding.h. Backward puts the positions in order and sums each table row's own
// (cuda/by_index.cuh): no atomics, and the bits of the CPU.
#include "ops/embedding.h"

#include "cuda/by_index.cuh"
#include "cuda/sync.cuh"

namespace enas::cuda {
namespace {

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
  visit_real(dtable.dtype(), "embedding", [&](auto tag) {
    using T = decltype(tag);
    launch_sums_by_index("embedding", dy.data<T>(), indices.data<int32_t>(), indices.numel(),
                         dtable.data<T>(), dtable.size(0), dtable.size(1), into == Into::add);
  });
}

}  // namespace enas::cuda
