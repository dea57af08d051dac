#include "ops/conv2d.h"

#include <algorithm>

#include "ops/conv_rows.h"
#include "tensor/dispatch.h"
#include "tensor/thread_pool.h"

namespace enas {

RawConv conv2d(const Var& x, const Var& w, const Window2d& window, bool stats) {
  check(x.rank() == 4 && w.rank() == 4, "conv2d",
        "needs images [N, H, W, Cin] and weights [K, K, Cin, Cout], got ", x.shape(), " and ",
        w.shape());
  check(w.size(0) == window.kernel && w.size(1) == window.kernel && w.size(2) == x.size(3),
        "conv2d", "a window of ", window.kernel, " over images ", x.shape(),
        " needs weights [K, K, Cin, Cout], got ", w.shape());
  check(x.dtype() == w.dtype(), "conv2d", "needs one dtype, got ", x.dtype(), " and ", w.dtype());
  check(x.value().device() == w.value().device(), "conv2d",
        "images and weights on different devices; move them to one");
  const Shape shape{x.size(0), window.output(x.size(1)), window.output(x.size(2)), w.size(3)};
  Tensor y(shape, x.dtype(), x.value().device());
  RawConv result;
  if (stats) {
    check(shape.rows() > 0, "conv2d", "no statistics of an empty batch ", x.shape());
    result.stats.mean = Tensor({w.size(3)}, x.dtype(), x.value().device());
    result.stats.variance = empty_like(result.stats.mean);
    result.stats.count = shape.rows();
  }
  dispatch<cpu::conv2d_forward>(x.value(), w.value(), window, y, stats ? &result.stats : nullptr);
  // Each factor is kept only for the other one's gradient.
  const Tensor kept_x = w.has_grad() ? x.value() : Tensor();
  const Tensor kept_w = x.has_grad() ? w.value() : Tensor();
  result.y = record("conv2d", {x, w}, y, [kept_x, kept_w, window](const Tensor& dy, Grads& dx) {
    if (dx[1].needed())
      dispatch<cpu::conv2d_backward_weight>(kept_x, dy, window, dx[1].tensor(), dx[1].into());
    if (dx[0].needed())
      dispatch<cpu::conv2d_backward_data>(dy, kept_w, window, dx[0].tensor(), dx[0].into());
  });
  return result;
}

namespace {

// Sizes of one convolution and the plain loops over it, which f64 runs.
struct Plain {
  Plain(const Shape& x, const Shape& y, const Window2d& window)
      : n(x[0]),
        h(x[1]),
        w(x[2]),
        ci(x[3]),
        oh(y[1]),
        ow(y[2]),
        co(y[3]),
        k(window.kernel),
        stride(window.stride),
        top(window.before(h)),
        left(window.before(w)) {}
  int64_t n, h, w, ci, oh, ow, co, k, stride, top, left;

  // Calls f(input pixel, tap) for the taps of output pixel (image, i, j) that lie in the image.
  template <class F>
  void taps(int64_t image, int64_t i, int64_t j, F&& f) const {
    for (int64_t ky = 0; ky < k; ++ky) {
      const int64_t y = i * stride - top + ky;
      if (y < 0 || y >= h) continue;
      for (int64_t kx = 0; kx < k; ++kx) {
        const int64_t x = j * stride - left + kx;
        if (x >= 0 && x < w) f((image * h + y) * w + x, ky * k + kx);
      }
    }
  }
};

template <class T>
void plain_forward(const Plain& p, const T* x, const T* w, T* y) {
  parallel_for(p.n * p.oh, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t j = 0; j < p.ow; ++j) {
        T* const out = y + (r * p.ow + j) * p.co;
        std::fill_n(out, p.co, T{0});
        p.taps(r / p.oh, r % p.oh, j, [&](int64_t pixel, int64_t tap) {
          for (int64_t a = 0; a < p.ci; ++a) {
            const T* const row = w + (tap * p.ci + a) * p.co;
            const T v = x[pixel * p.ci + a];
            for (int64_t b = 0; b < p.co; ++b) out[b] += v * row[b];
          }
        });
      }
    }
  });
}

template <class T>
void plain_backward_data(const Plain& p, const T* dy, const T* w, T* dx, bool add) {
  parallel_for(p.n, 1, [&](int64_t begin, int64_t end) {
    const int64_t image = p.h * p.w * p.ci;
    if (!add) std::fill(dx + begin * image, dx + end * image, T{0});
    for (int64_t at = begin * p.oh * p.ow; at < end * p.oh * p.ow; ++at) {
      const T* const up = dy + at * p.co;
      p.taps(at / (p.oh * p.ow), at / p.ow % p.oh, at % p.ow, [&](int64_t pixel, int64_t tap) {
        for (int64_t a = 0; a < p.ci; ++a) {
          const T* const row = w + (tap * p.ci + a) * p.co;
          T sum = 0;
          for (int64_t b = 0; b < p.co; ++b) sum += up[b] * row[b];
          dx[pixel * p.ci + a] += sum;
        }
      });
    }
  });
}

template <class T>
void plain_backward_weight(const Plain& p, const T* x, const T* dy, T* dw, bool add) {
  parallel_for(p.ci, 1, [&](int64_t begin, int64_t end) {  // input channels: whole rows of dw
    for (int64_t tap = 0; tap < p.k * p.k && !add; ++tap)
      std::fill(dw + (tap * p.ci + begin) * p.co, dw + (tap * p.ci + end) * p.co, T{0});
    for (int64_t at = 0; at < p.n * p.oh * p.ow; ++at) {
      const T* const up = dy + at * p.co;
      p.taps(at / (p.oh * p.ow), at / p.ow % p.oh, at % p.ow, [&](int64_t pixel, int64_t tap) {
        for (int64_t a = begin; a < end; ++a) {
          T* const row = dw + (tap * p.ci + a) * p.co;
          const T v = x[pixel * p.ci + a];
          for (int64_t b = 0; b < p.co; ++b) row[b] += v * up[b];
        }
      });
    }
  });
}

}  // namespace

void cpu::conv2d_forward(const Tensor& x, const Tensor& w, const Window2d& window, Tensor& y,
                         ChannelStats* stats) {
  const Plain p(x.shape(), y.shape(), window);
  visit_real(x.dtype(), "conv2d", [&](auto tag) {
    using T = decltype(tag);
    plain_forward(p, x.data<T>(), w.data<T>(), y.data<T>());
    if (stats != nullptr)
      column_moments(y.data<T>(), y.shape().rows(), p.co, stats->mean.data<T>(),
                     stats->variance.data<T>());
  });
}

void cpu::conv2d_backward_data(const Tensor& dy, const Tensor& w, const Window2d& window,
                               Tensor& dx, Into into) {
  const Plain p(dx.shape(), dy.shape(), window);
  visit_real(dy.dtype(), "conv2d", [&](auto tag) {
    using T = decltype(tag);
    plain_backward_data(p, dy.data<T>(), w.data<T>(), dx.data<T>(), into == Into::add);
  });
}

void cpu::conv2d_backward_weight(const Tensor& x, const Tensor& dy, const Window2d& window,
                                 Tensor& dw, Into into) {
  const Plain p(x.shape(), dy.shape(), window);
  visit_real(dy.dtype(), "conv2d", [&](auto tag) {
    using T = decltype(tag);
    plain_backward_weight(p, x.data<T>(), dy.data<T>(), dw.data<T>(), into == Into::add);
  });
}

}  // namespace enas
