#include "ops/reduce.h"

#include <array>
#include <cmath>

#include "tensor/dispatch.h"
#include "tensor/isa.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

// 1 / n; NaN for n = 0, so that a mean of nothing is NaN.
double share_of(const Var& x) {
  return x.numel() == 0 ? NAN : 1.0 / static_cast<double>(x.numel());
}

Var scaled_sum(const char* name, const Var& x, double factor) {
  Tensor y({}, x.dtype(), x.value().device());
  dispatch<cpu::sum_forward, cuda::sum_forward>(x.value(), factor, y);
  return record(name, {x}, std::move(y), [factor](const Tensor& dy, Grads& dx) {
    dispatch<cpu::sum_backward, cuda::sum_backward>(dy, factor, dx[0].tensor(), dx[0].into());
  });
}

}  // namespace

Var sum(const Var& x) { return scaled_sum("sum", x, 1); }
Var mean(const Var& x) { return scaled_sum("mean", x, share_of(x)); }

Var mean_square(const Var& x) {
  const double factor = share_of(x);
  Tensor y({}, x.dtype(), x.value().device());
  dispatch<cpu::sum_squares_forward, cuda::sum_squares_forward>(x.value(), factor, y);
  return record("mean_square", {x}, std::move(y),
                [value = x.value(), factor](const Tensor& dy, Grads& dx) {
                  dispatch<cpu::sum_squares_backward, cuda::sum_squares_backward>(
                      value, dy, 2 * factor, dx[0].tensor(), dx[0].into());
                });
}

Var mean_square_difference(const Var& a, const Var& b) {
  check(a.shape() == b.shape() && a.dtype() == b.dtype(), "mean_square_difference",
        "needs two tensors of one shape and dtype, got ", a.dtype(), " ", a.shape(), " and ",
        b.dtype(), " ", b.shape());
  const double factor = share_of(a);
  Tensor y({}, a.dtype(), a.value().device());
  dispatch<cpu::sum_squared_difference_forward, cuda::sum_squared_difference_forward>(
      a.value(), b.value(), factor, y);
  return record(
      "mean_square_difference", {a, b}, std::move(y),
      [left = a.value(), right = b.value(), factor](const Tensor& dy, Grads& dx) {
        for (const size_t side : {size_t{0}, size_t{1}}) {
          if (!dx[side].needed()) continue;
          dispatch<cpu::sum_squared_difference_backward, cuda::sum_squared_difference_backward>(
              left, right, dy, side == 0 ? 2 * factor : -2 * factor, dx[side].tensor(),
              dx[side].into());
        }
      });
}

ISA_SELECT(sum_range, double(const float* x, int64_t n));
ISA_SELECT(sum_squares_range, double(const float* x, int64_t n));
ISA_SELECT(sum_squared_difference_range, double(const float* a, const float* b, int64_t n));
ISA_SELECT(add_scaled, void(const float* x, float factor, float* dx, int64_t n, bool add));
ISA_SELECT(add_scaled_difference,
           void(const float* a, const float* b, float factor, float* dx, int64_t n, bool add));

namespace {

constexpr int64_t kGrain = 8192;  // elements a chunk

template <class Term>
double plain_sum(int64_t n, Term term) {
  double total = 0;
  for (int64_t i = 0; i < n; ++i) total += term(i);
  return total;
}

// y = factor * sum over chunks of part(begin, end), the chunks added in order.
template <class Part>
void reduce(int64_t n, double factor, Tensor& y, Part part) {
  std::array<double, kMaxChunks> parts{};
  const int chunks = chunk_count(n, kGrain);
  parallel_chunks(chunks, [&](int chunk) {
    parts[static_cast<size_t>(chunk)] = part(n * chunk / chunks, n * (chunk + 1) / chunks);
  });
  double total = 0;
  for (int chunk = 0; chunk < chunks; ++chunk) total += parts[static_cast<size_t>(chunk)];
  y.fill(total * factor);
}

}  // namespace

void cpu::sum_forward(const Tensor& x, double factor, Tensor& y) {
  visit_real(x.dtype(), "sum", [&](auto tag) {
    using T = decltype(tag);
    const T* in = x.data<T>();
    reduce(x.numel(), factor, y, [&](int64_t begin, int64_t end) {
      if constexpr (sizeof(T) == 4) return sum_range(in + begin, end - begin);
      return plain_sum(end - begin, [&](int64_t i) { return double{in[begin + i]}; });
    });
  });
}

void cpu::sum_squares_forward(const Tensor& x, double factor, Tensor& y) {
  visit_real(x.dtype(), "mean_square", [&](auto tag) {
    using T = decltype(tag);
    const T* in = x.data<T>();
    reduce(x.numel(), factor, y, [&](int64_t begin, int64_t end) {
      if constexpr (sizeof(T) == 4) return sum_squares_range(in + begin, end - begin);
      return plain_sum(end - begin, [&](int64_t i) {
        const double v = in[begin + i];
        return v * v;
      });
    });
  });
}

void cpu::sum_squared_difference_forward(const Tensor& a, const Tensor& b, double factor,
                                         Tensor& y) {
  visit_real(a.dtype(), "mean_square_difference", [&](auto tag) {
    using T = decltype(tag);
    const T *left = a.data<T>(), *right = b.data<T>();
    reduce(a.numel(), factor, y, [&](int64_t begin, int64_t end) {
      if constexpr (sizeof(T) == 4) {
        return sum_squared_difference_range(left + begin, right + begin, end - begin);
      }
      return plain_sum(end - begin, [&](int64_t i) {
        const double d = double{left[begin + i]} - double{right[begin + i]};
        return d * d;
      });
    });
  });
}

void cpu::sum_backward(const Tensor& dy, double factor, Tensor& dx, Into into) {
  const double value = dy.item() * factor;
  if (into == Into::write) return dx.fill(value);
  visit_real(dx.dtype(), "sum", [&](auto tag) {
    using T = decltype(tag);
    T* out = dx.data<T>();
    const T term = static_cast<T>(value);
    parallel_for(dx.numel(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] += term;
    });
  });
}

void cpu::sum_squares_backward(const Tensor& x, const Tensor& dy, double factor, Tensor& dx,
                               Into into) {
  const bool adds = into == Into::add;
  visit_real(x.dtype(), "mean_square", [&](auto tag) {
    using T = decltype(tag);
    const T* in = x.data<T>();
    T* out = dx.data<T>();
    const T scale = static_cast<T>(dy.item() * factor);
    parallel_for(x.numel(), kGrain, [&](int64_t begin, int64_t end) {
      if constexpr (sizeof(T) == 4) {
        add_scaled(in + begin, scale, out + begin, end - begin, adds);
      } else {
        for (int64_t i = begin; i < end; ++i) out[i] = (adds ? out[i] : 0) + scale * in[i];
      }
    });
  });
}

void cpu::sum_squared_difference_backward(const Tensor& a, const Tensor& b, const Tensor& dy,
                                          double factor, Tensor& da, Into into) {
  const bool adds = into == Into::add;
  visit_real(a.dtype(), "mean_square_difference", [&](auto tag) {
    using T = decltype(tag);
    const T *left = a.data<T>(), *right = b.data<T>();
    T* out = da.data<T>();
    const T scale = static_cast<T>(dy.item() * factor);
    parallel_for(a.numel(), kGrain, [&](int64_t begin, int64_t end) {
      if constexpr (sizeof(T) == 4) {
        add_scaled_difference(left + begin, right + begin, scale, out + begin, end - begin, adds);
      } else {
        for (int64_t i = begin; i < end; ++i) {
          out[i] = (adds ? out[i] : 0) + scale * (left[i] - right[i]);
        }
      }
    });
  });
}

}  // namespace enas
