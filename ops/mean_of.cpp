#include "ops/mean_of.h"

#include "ops/pointwise.h"
#include "tensor/dispatch.h"
#include "tensor/isa.h"
#include "tensor/thread_pool.h"

namespace enas {

Var mean_of(std::span<const Var> values) {
  check(!values.empty(), "mean_of", "needs at least one value");
  const Var& first = values[0];
  if (values.size() == 1) return first;
  std::vector<Input> inputs;
  inputs.reserve(values.size());
  for (const Var& value : values) {
    check(value.shape() == first.shape() && value.dtype() == first.dtype(), "mean_of",
          "needs values of one shape and dtype, got ", first.dtype(), " ", first.shape(), " and ",
          value.dtype(), " ", value.shape());
    check(value.value().device() == first.value().device(), "mean_of",
          "values on different devices; move them to one");
    inputs.emplace_back(value);
  }
  Tensor y = empty_like(first.value());
  dispatch<cpu::mean_of_forward, cuda::mean_of_forward>(y, values);
  const double factor = 1.0 / static_cast<double>(values.size());
  return record("mean_of", std::span<const Input>(inputs), std::move(y),
                [factor](const Tensor& dy, Grads& dx) {
                  // One tensor serves all inputs; who adds to it later takes a copy.
                  const Tensor share = scale(dy, factor).value();
                  for (size_t i = 0; i < dx.size(); ++i) {
                    if (dx[i].needed()) dx[i].accept(share);
                  }
                });
}

ISA_SELECT(mean_of_range, void(const float* const* x, int64_t count, float factor, float* y,
                               int64_t at, int64_t n));

void cpu::mean_of_forward(Tensor& y, std::span<const Var> values) {
  constexpr int64_t kGrain = 8192;  // elements read a chunk
  const auto count = static_cast<int64_t>(values.size());
  visit_real(y.dtype(), "mean_of", [&](auto tag) {
    using T = decltype(tag);
    std::vector<const T*> x;
    for (const Var& value : values) x.push_back(value.value().data<T>());
    T* out = y.data<T>();
    const T factor = T(1) / static_cast<T>(count);
    parallel_for(y.numel(), kGrain / count, [&](int64_t begin, int64_t end) {
      if constexpr (sizeof(T) == 4) {
        mean_of_range(x.data(), count, factor, out, begin, end - begin);
      } else {
        for (int64_t i = begin; i < end; ++i) {
          T total = 0;
          for (const T* value : x) total += value[i];
          out[i] = total * factor;
        }
      }
    });
  });
}

}  // namespace enas
