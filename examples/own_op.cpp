// An operator of one's own, outside the library: softplus, with a backward that is checked.
//   y = log(1 + e^x)          dx = dy * sigmoid(x)
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "autograd/grad_check.h"
#include "ops/reduce.h"
#include "tensor/dispatch.h"
#include "tensor/thread_pool.h"

namespace cpu {

constexpr int64_t kGrain = 4096;  // elements a chunk: some 5 us of work

void softplus_forward(const enas::Tensor& x, enas::Tensor& y) {
  enas::visit_real(x.dtype(), "softplus", [&](auto tag) {
    using T = decltype(tag);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    enas::parallel_for(x.numel(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        out[i] = std::max(in[i], T{0}) + std::log1p(std::exp(-std::fabs(in[i])));
      }
    });
  });
}

// The first contribution to a gradient writes it, later ones add: `into` says which this is.
void softplus_backward(const enas::Tensor& x, const enas::Tensor& dy, enas::Tensor& dx,
                       enas::Into into) {
  enas::visit_real(x.dtype(), "softplus", [&](auto tag) {
    using T = decltype(tag);
    const T *in = x.data<T>(), *up = dy.data<T>();
    T* out = dx.data<T>();
    enas::parallel_for(x.numel(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T g = up[i] / (T{1} + std::exp(-in[i]));
        out[i] = into == enas::Into::add ? out[i] + g : g;
      }
    });
  });
}

}  // namespace cpu

// x of any shape, f32 or f64 -> y of the same. The lambda holds what backward needs: x, not y.
enas::Var softplus(const enas::Var& x) {
  enas::Tensor y = enas::empty_like(x.value());
  enas::dispatch<cpu::softplus_forward>(x.value(), y);
  return enas::record("softplus", {x}, y, [x = x.value()](const enas::Tensor& dy, enas::Grads& dx) {
    enas::dispatch<cpu::softplus_backward>(x, dy, dx[0].tensor(), dx[0].into());
  });
}

int main() {
  const enas::Tensor x = enas::Tensor::from({-30, -1, 0, 0.5, 30}, {5}, enas::DType::f64);
  const std::string difference = enas::grad_check(
      [](enas::Tape&, const std::vector<enas::Var>& v) { return sum(softplus(v[0])); }, {x});
  if (!difference.empty()) {
    std::printf("softplus: backward is wrong: %s\n", difference.c_str());
    return 1;
  }
  enas::Tape tape;
  const enas::Var v = tape.variable(x);
  tape.backward(sum(softplus(v)));
  for (const double slope : tape.gradient(v).to_vector()) std::printf("%.6f ", slope);
  std::printf("\ngradient check passed\n");
}
