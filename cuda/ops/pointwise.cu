// Kernels of ops/pointwise.h. The elementwise ops are map_elements with the op's functor; beside
// them the row that is added to every row, and its gradient.
#include "ops/pointwise.h"

#include "cuda/elementwise.cuh"
#include "cuda/sync.cuh"
#include "ops/pointwise_functors.h"

namespace enas::cuda {
namespace {

template <class F, class T>
struct Value {
  T parameter;
  __device__ T operator()(T x) const { return F::f(x, parameter); }
};
template <class F, class T>
struct Derivative {
  T parameter;
  __device__ T operator()(T saved, T dy) const { return F::df(saved, dy, parameter); }
};
template <class F, class T>
struct Value2 {
  __device__ T operator()(T a, T b) const { return F::f(a, b); }
};
template <class F, class T>
struct DerivativeA {
  __device__ T operator()(T b, T dy) const { return F::da(b, dy); }
};
template <class F, class T>
struct DerivativeB {
  __device__ T operator()(T a, T b, T dy) const { return F::db(a, b, dy); }
};

// Calls f(functor, T{}) with those of op and dtype.
template <class Op, class F>
void visit(Op op, DType dtype, F&& f) {
  visit_real(dtype, "pointwise",
             [&](auto tag) { scalar::visit_functor(op, [&](auto functor) { f(functor, tag); }); });
}

constexpr unsigned kColumns = kWarp, kRowLanes = 8;

// drow[c] (+)= the sum of dy[r, c] over r. A block sums a chunk of rows (blockIdx.y) for 32 columns
// (blockIdx.x), each warp every eighth row; the last block adds the chunks in their order.
template <class T>
__global__ void column_sums_kernel(const T* __restrict__ dy, int64_t rows, int64_t columns,
                                   bool add, T* partial, unsigned int* counter, T* drow) {
  ENAS_SHARED(shared);
  const Shared<T> tile(shared, 0, kColumns * kRowLanes);
  const Shared<unsigned int> last(shared, kColumns * kRowLanes * sizeof(T), 1);
  const unsigned lane = threadIdx.x % kColumns, warp = threadIdx.x / kColumns;
  const int64_t c = blockIdx.x * int64_t{kColumns} + lane;
  const int64_t begin = rows * blockIdx.y / gridDim.y, end = rows * (blockIdx.y + 1) / gridDim.y;
  T total = 0;
  if (c < columns) {
#pragma unroll 4
    for (int64_t r = begin + warp; r < end; r += kRowLanes) total += dy[r * columns + c];
  }
  tile.set(threadIdx.x, total);
  __syncthreads();
  if (warp == 0 && c < columns) {
    for (unsigned w = 1; w < kRowLanes; ++w) total += tile.get(w * kColumns + lane);
    if (gridDim.y > 1) {
      partial[blockIdx.y * columns + c] = total;
    } else {
      drow[c] = add ? drow[c] + total : total;
    }
  }
  if (gridDim.y == 1 || !last_block(counter, last)) return;
  for (int64_t k = threadIdx.x; k < columns; k += blockDim.x) {
    T sum = partial[k];
    for (unsigned chunk = 1; chunk < gridDim.y; ++chunk) sum += partial[chunk * columns + k];
    drow[k] = add ? drow[k] + sum : sum;
  }
}

}  // namespace

void unary_forward(Unary op, double parameter, const Tensor& x, Tensor& y) {
  visit(op, x.dtype(), [&](auto functor, auto tag) {
    using T = decltype(tag);
    launch_map("pointwise", Value<decltype(functor), T>{static_cast<T>(parameter)}, y.data<T>(),
               false, x.numel(), x.data<T>());
  });
}

void unary_backward(Unary op, double parameter, const Tensor& saved, const Tensor& dy, Tensor& dx,
                    Into into) {
  visit(op, dx.dtype(), [&](auto functor, auto tag) {
    using T = decltype(tag);
    launch_map("pointwise", Derivative<decltype(functor), T>{static_cast<T>(parameter)},
               dx.data<T>(), into == Into::add, dx.numel(), saved.data<T>(), dy.data<T>());
  });
}

void binary_forward(Binary op, const Tensor& a, const Tensor& b, Tensor& y) {
  visit(op, a.dtype(), [&](auto functor, auto tag) {
    using T = decltype(tag);
    launch_map("pointwise", Value2<decltype(functor), T>{}, y.data<T>(), false, y.numel(),
               a.data<T>(), b.data<T>());
  });
}

void binary_backward_a(Binary op, const Tensor& b, const Tensor& dy, Tensor& da, Into into) {
  visit(op, da.dtype(), [&](auto functor, auto tag) {
    using T = decltype(tag);
    launch_map("pointwise", DerivativeA<decltype(functor), T>{}, da.data<T>(), into == Into::add,
               da.numel(), b.data<T>(), dy.data<T>());
  });
}

void binary_backward_b(Binary op, const Tensor& a, const Tensor& b, const Tensor& dy, Tensor& db,
                       Into into) {
  visit(op, db.dtype(), [&](auto functor, auto tag) {
    using T = decltype(tag);
    launch_map("pointwise", DerivativeB<decltype(functor), T>{}, db.data<T>(), into == Into::add,
               db.numel(), a.data<T>(), b.data<T>(), dy.data<T>());
  });
}

void add_row_forward(const Tensor& x, const Tensor& row, Tensor& y) {
  visit_real(x.dtype(), "add_row", [&](auto tag) {
    using T = decltype(tag);
    launch_rows("add_row", Value2<scalar::Add, T>{}, y.data<T>(), false, x.shape().rows(),
                x.size(-1), x.data<T>(), row.data<T>());
  });
}

void column_sums(const Tensor& dy, Tensor& drow, Into into) {
  const int64_t rows = dy.shape().rows(), columns = dy.size(-1);
  const unsigned across = blocks_for(columns, kColumns, INT32_MAX);
  // Few columns: the rows are cut too, so that some 128 blocks share the work.
  const int64_t most = across == 0 ? 1 : 128 / across;
  const unsigned chunks = most > 1 ? blocks_for(rows, 8 * kRowLanes, most) : 1;
  visit_real(dy.dtype(), "column_sums", [&](auto tag) {
    using T = decltype(tag);
    Scratch partial(sizeof(T) * static_cast<size_t>(chunks > 1 ? chunks * columns : 1));
    const size_t shared = kColumns * kRowLanes * sizeof(T) + sizeof(unsigned int);
    launch("column_sums", column_sums_kernel<T>,
           Launch{dim3(across, chunks > 0 ? chunks : 1), dim3(kColumns * kRowLanes), shared},
           dy.data<T>(), rows, columns, into == Into::add, partial.as<T>(), zeroed_words(),
           drow.data<T>());
  });
}

}  // namespace enas::cuda
