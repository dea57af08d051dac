// Kernels of ops/reduce.h: sums over all elements, added in double; their gradients.
#include "ops/reduce.h"

#include "cuda/elementwise.cuh"
#include "cuda/reduce.cuh"
#include "cuda/sync.cuh"

namespace enas::cuda {
namespace {

struct Itself {
  template <class T>
  __device__ double operator()(T x) const {
    return static_cast<double>(x);
  }
};
struct Squared {
  template <class T>
  __device__ double operator()(T x) const {
    return static_cast<double>(x) * static_cast<double>(x);
  }
};
struct SquaredDifference {
  template <class T>
  __device__ double operator()(T a, T b) const {
    const double d = static_cast<double>(a) - static_cast<double>(b);
    return d * d;
  }
};

constexpr unsigned kThreads = 256;

// *y = factor * the sum of term(in[i]...). Each block leaves its share in `partial`; the last one
// adds these in a fixed order.
template <class Term, class T, class... In>
__global__ void sum_elements(Term term, T* y, double factor, int64_t n, int64_t packs,
                             double* partial, unsigned int* counter, const In*... in) {
  ENAS_SHARED(shared);
  const Shared<double> scratch(shared, 0, kWarp);
  const Shared<unsigned int> last(shared, kWarp * sizeof(double), 1);
  double total = 0;
  const auto add_lanes = [&](const auto&... x) {
#pragma unroll
    for (int k = 0; k < Pack<T>::kWidth; ++k) total += term(x.lane[k]...);
  };
#pragma unroll 2
  for (int64_t i = thread_index(); i < packs; i += thread_count()) add_lanes(load_pack(in, i)...);
  for (int64_t i = packs * Pack<T>::kWidth + thread_index(); i < n; i += thread_count()) {
    total += term(in[i]...);
  }
  total = block_reduce<Sum>(total, scratch);
  if (gridDim.x > 1) {
    if (threadIdx.x == 0) partial[blockIdx.x] = total;
    if (!last_block(counter, last)) return;
    total = 0;
    for (unsigned b = threadIdx.x; b < gridDim.x; b += kThreads) total += partial[b];
    total = block_reduce<Sum>(total, scratch);
  }
  if (threadIdx.x == 0) *y = static_cast<T>(total * factor);
}

template <class Term, class T, class... In>
void launch_sum(const char* op, Term term, T* y, double factor, int64_t n, const In*... in) {
  // The number of blocks, and with it the order of the sum, depends on n alone.
  const unsigned blocks = n == 0 ? 1 : blocks_for(n, 8 * kThreads, 512);
  Scratch partial(blocks * sizeof(double));
  const size_t shared = kWarp * sizeof(double) + sizeof(unsigned int);
  launch(op, sum_elements<Term, T, In...>, Launch{dim3(blocks), dim3(kThreads), shared}, term, y,
         factor, n, packs_in<T>(n, in...), partial.as<double>(), zeroed_words(), in...);
}

// factor * dy, rounded once, as on the CPU.
template <class T>
struct Scaled {
  const T* dy;
  double factor;
  __device__ T scale() const { return static_cast<T>(static_cast<double>(__ldg(dy)) * factor); }
  __device__ T operator()() const { return scale(); }
  __device__ T operator()(T x) const { return scale() * x; }
  __device__ T operator()(T a, T b) const { return scale() * (a - b); }
};

}  // namespace

void sum_forward(const Tensor& x, double factor, Tensor& y) {
  visit_real(x.dtype(), "sum", [&](auto tag) {
    using T = decltype(tag);
    launch_sum("sum", Itself{}, y.data<T>(), factor, x.numel(), x.data<T>());
  });
}

void sum_squares_forward(const Tensor& x, double factor, Tensor& y) {
  visit_real(x.dtype(), "mean_square", [&](auto tag) {
    using T = decltype(tag);
    launch_sum("mean_square", Squared{}, y.data<T>(), factor, x.numel(), x.data<T>());
  });
}

void sum_squared_difference_forward(const Tensor& a, const Tensor& b, double factor, Tensor& y) {
  visit_real(a.dtype(), "mean_square_difference", [&](auto tag) {
    using T = decltype(tag);
    launch_sum("mean_square_difference", SquaredDifference{}, y.data<T>(), factor, a.numel(),
               a.data<T>(), b.data<T>());
  });
}

void sum_backward(const Tensor& dy, double factor, Tensor& dx, Into into) {
  visit_real(dx.dtype(), "sum", [&](auto tag) {
    using T = decltype(tag);
    launch_map("sum", Scaled<T>{dy.data<T>(), factor}, dx.data<T>(), into == Into::add, dx.numel());
  });
}

void sum_squares_backward(const Tensor& x, const Tensor& dy, double factor, Tensor& dx, Into into) {
  visit_real(x.dtype(), "mean_square", [&](auto tag) {
    using T = decltype(tag);
    launch_map("mean_square", Scaled<T>{dy.data<T>(), factor}, dx.data<T>(), into == Into::add,
               x.numel(), x.data<T>());
  });
}

void sum_squared_difference_backward(const Tensor& a, const Tensor& b, const Tensor& dy,
                                     double factor, Tensor& da, Into into) {
  visit_real(a.dtype(), "mean_square_difference", [&](auto tag) {
    using T = decltype(tag);
    launch_map("mean_square_difference", Scaled<T>{dy.data<T>(), factor}, da.data<T>(),
               into == Into::add, a.numel(), a.data<T>(), b.data<T>());
  });
}

}  // namespace enas::cuda
