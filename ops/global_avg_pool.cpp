#include "ops/global_avg_pool.h"

#include "tensor/dispatch.h"
#include "tensor/isa.h"
#include "tensor/thread_pool.h"

namespace enas {

Var global_avg_pool(const Var& x, bool relu_on_load) {
  check(x.rank() == 4 && x.size(1) > 0 && x.size(2) > 0, "global_avg_pool",
        "needs images [N, H, W, C] with pixels, got ", x.shape());
  Tensor y({x.size(0), x.size(3)}, x.dtype(), x.value().device());
  dispatch<cpu::global_avg_pool_forward, cuda::global_avg_pool_forward>(x.value(), relu_on_load, y);
  const Tensor source = relu_on_load ? x.value() : Tensor();
  return record("global_avg_pool", {x}, std::move(y),
                [source, relu_on_load](const Tensor& dy, Grads& dx) {
                  dispatch<cpu::global_avg_pool_backward, cuda::global_avg_pool_backward>(
                      dy, source, relu_on_load, dx[0].tensor(), dx[0].into());
                });
}

ISA_SELECT(global_avg_pool_image,
           void(const float* x, bool relu, float* y, int64_t pixels, int64_t channels));
ISA_SELECT(global_avg_pool_image_backward, void(const float* x, const float* dy, float* dx,
                                                int64_t pixels, int64_t channels, bool add));

namespace {

constexpr int64_t kGrain = 8192;  // elements a chunk

void image_forward(const float* x, bool relu, float* y, int64_t pixels, int64_t channels) {
  global_avg_pool_image(x, relu, y, pixels, channels);
}
void image_backward(const float* x, const float* dy, float* dx, int64_t pixels, int64_t channels,
                    bool add) {
  global_avg_pool_image_backward(x, dy, dx, pixels, channels, add);
}
void image_forward(const double* x, bool relu, double* y, int64_t pixels, int64_t channels) {
  for (int64_t c = 0; c < channels; ++c) {
    double total = 0;
    for (int64_t p = 0; p < pixels; ++p) {
      const double value = x[p * channels + c];
      total += relu && value <= 0 ? 0 : value;
    }
    y[c] = total / static_cast<double>(pixels);
  }
}
void image_backward(const double* x, const double* dy, double* dx, int64_t pixels, int64_t channels,
                    bool add) {
  for (int64_t i = 0; i < pixels * channels; ++i) {
    const double g = x && x[i] <= 0 ? 0 : dy[i % channels] / static_cast<double>(pixels);
    dx[i] = add ? dx[i] + g : g;
  }
}

}  // namespace

void cpu::global_avg_pool_forward(const Tensor& x, bool relu, Tensor& y) {
  const int64_t pixels = x.size(1) * x.size(2), channels = x.size(3);
  visit_real(x.dtype(), "global_avg_pool", [&](auto tag) {
    using T = decltype(tag);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_for(x.size(0), kGrain / (pixels * channels + 1), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        image_forward(in + n * pixels * channels, relu, out + n * channels, pixels, channels);
      }
    });
  });
}

void cpu::global_avg_pool_backward(const Tensor& dy, const Tensor& x, bool relu, Tensor& dx,
                                   Into into) {
  const int64_t pixels = dx.size(1) * dx.size(2), channels = dx.size(3);
  visit_real(dx.dtype(), "global_avg_pool", [&](auto tag) {
    using T = decltype(tag);
    const T *in = relu ? x.data<T>() : nullptr, *up = dy.data<T>();
    T* out = dx.data<T>();
    parallel_for(dx.size(0), kGrain / (pixels * channels + 1), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        const int64_t at = n * pixels * channels;
        image_backward(in ? in + at : nullptr, up + n * channels, out + at, pixels, channels,
                       into == Into::add);
      }
    });
  });
}

}  // namespace enas
