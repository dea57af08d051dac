#include "ops/factorized_reduction.h"

#include <vector>

#include "tensor/dispatch.h"
#include "tensor/thread_pool.h"

namespace enas {

RawConv factorized_reduction(const Var& x, const Var& w1, const Var& w2, bool relu_on_load,
                             bool stats) {
  check(x.rank() == 4 && x.size(1) > 0 && x.size(2) > 0, "factorized_reduction",
        "needs images [N, H, W, C] with pixels, got ", x.shape());
  for (const Var* w : {&w1, &w2}) {
    check(w->rank() == 2 && w->size(0) == x.size(3) && w->dtype() == x.dtype(),
          "factorized_reduction", "needs weights [", x.size(3), ", outputs] of ", x.dtype(),
          ", got ", w->dtype(), " ", w->shape());
  }
  const int64_t channels = w1.size(1) + w2.size(1);
  const Device device = x.value().device();
  RawConv result;
  Tensor y({x.size(0), (x.size(1) + 1) / 2, (x.size(2) + 1) / 2, channels}, x.dtype(), device);
  result.stats.count = y.numel() / (channels > 0 ? channels : 1);
  if (stats) {
    result.stats.mean = Tensor({channels}, x.dtype(), device);
    result.stats.variance = Tensor({channels}, x.dtype(), device);
  }
  dispatch<cpu::factorized_reduction_forward>(x.value(), w1.value(), w2.value(), relu_on_load, y,
                                              result.stats);
  result.y = record("factorized_reduction", {x, w1, w2}, std::move(y),
                    [source = x.value(), a = w1.value(), b = w2.value(), relu_on_load](
                        const Tensor& dy, Grads& dx) {
                      if (dx[0].needed()) {
                        dispatch<cpu::factorized_reduction_backward_input>(
                            source, a, b, relu_on_load, dy, dx[0].tensor(), dx[0].into());
                      }
                      for (const int path : {0, 1}) {
                        Grad& dw = dx[static_cast<size_t>(1 + path)];
                        if (!dw.needed()) continue;
                        dispatch<cpu::factorized_reduction_backward_weight>(
                            source, relu_on_load, dy, path, dw.tensor(), dw.into());
                      }
                    });
  return result;
}

namespace {

struct Grid {
  int64_t images, height, width, channels, rows, columns;  // rows, columns: of the output
  explicit Grid(const Tensor& x)
      : images(x.size(0)),
        height(x.size(1)),
        width(x.size(2)),
        channels(x.size(3)),
        rows((height + 1) / 2),
        columns((width + 1) / 2) {}
  int64_t outputs() const { return images * rows * columns; }
  // The pixel of x that output pixel `at` reads in this path, or -1 outside.
  int64_t source(int64_t at, int path) const {
    const int64_t n = at / (rows * columns);
    const int64_t y = at / columns % rows * 2 + path, x = at % columns * 2 + path;
    return y < height && x < width ? (n * height + y) * width + x : -1;
  }
};

template <class T>
T loaded(T value, bool relu) {
  return relu && value <= 0 ? 0 : value;
}

template <class T>
void fill_stats(const T* y, int64_t pixels, int64_t channels, T* mean, T* variance) {
  for (int64_t c = 0; c < channels; ++c) {
    double total = 0, squares = 0;
    for (int64_t p = 0; p < pixels; ++p) total += static_cast<double>(y[p * channels + c]);
    const double m = total / static_cast<double>(pixels);
    for (int64_t p = 0; p < pixels; ++p) {
      const double d = static_cast<double>(y[p * channels + c]) - m;
      squares += d * d;
    }
    mean[c] = static_cast<T>(m);
    variance[c] = static_cast<T>(squares / static_cast<double>(pixels));
  }
}

}  // namespace

void cpu::factorized_reduction_forward(const Tensor& x, const Tensor& w1, const Tensor& w2,
                                       bool relu, Tensor& y, ChannelStats& stats) {
  const Grid grid(x);
  const int64_t c1 = w1.size(1), c2 = w2.size(1);
  visit_real(x.dtype(), "factorized_reduction", [&](auto tag) {
    using T = decltype(tag);
    const T *in = x.data<T>(), *w[2] = {w1.data<T>(), w2.data<T>()};
    T* out = y.data<T>();
    parallel_for(grid.outputs(), 64, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end; ++at) {
        for (const int path : {0, 1}) {
          const int64_t from = grid.source(at, path), outputs = path ? c2 : c1;
          T* to = out + at * (c1 + c2) + (path ? c1 : 0);
          for (int64_t o = 0; o < outputs; ++o) to[o] = 0;
          for (int64_t c = 0; from >= 0 && c < grid.channels; ++c) {
            const T value = loaded(in[from * grid.channels + c], relu);
            for (int64_t o = 0; o < outputs; ++o) to[o] += value * w[path][c * outputs + o];
          }
        }
      }
    });
    if (stats.mean.defined()) {
      fill_stats(out, grid.outputs(), c1 + c2, stats.mean.data<T>(), stats.variance.data<T>());
    }
  });
}

void cpu::factorized_reduction_backward_input(const Tensor& x, const Tensor& w1, const Tensor& w2,
                                              bool relu, const Tensor& dy, Tensor& dx, Into into) {
  const Grid grid(x);
  const int64_t c1 = w1.size(1), c2 = w2.size(1);
  visit_real(x.dtype(), "factorized_reduction", [&](auto tag) {
    using T = decltype(tag);
    const T *in = x.data<T>(), *up = dy.data<T>(), *w[2] = {w1.data<T>(), w2.data<T>()};
    T* out = dx.data<T>();
    if (into == Into::write) dx.fill(0);
    parallel_for(grid.outputs(), 64, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end; ++at) {
        for (const int path : {0, 1}) {
          const int64_t from = grid.source(at, path), outputs = path ? c2 : c1;
          const T* g = up + at * (c1 + c2) + (path ? c1 : 0);
          for (int64_t c = 0; from >= 0 && c < grid.channels; ++c) {
            const int64_t i = from * grid.channels + c;
            T total = 0;
            for (int64_t o = 0; o < outputs; ++o) total += g[o] * w[path][c * outputs + o];
            if (!relu || !(in[i] <= 0)) out[i] += total;
          }
        }
      }
    });
  });
}

void cpu::factorized_reduction_backward_weight(const Tensor& x, bool relu, const Tensor& dy,
                                               int path, Tensor& dw, Into into) {
  const Grid grid(x);
  const int64_t outputs = dw.size(1), all = dy.size(-1);
  visit_real(x.dtype(), "factorized_reduction", [&](auto tag) {
    using T = decltype(tag);
    const T *in = x.data<T>(), *up = dy.data<T>() + (path ? all - outputs : 0);
    T* out = dw.data<T>();
    if (into == Into::write) dw.fill(0);
    parallel_for(grid.channels, 4, [&](int64_t begin, int64_t end) {
      for (int64_t at = 0; at < grid.outputs(); ++at) {
        const int64_t from = grid.source(at, path);
        if (from < 0) continue;
        for (int64_t c = begin; c < end; ++c) {
          const T value = loaded(in[from * grid.channels + c], relu);
          for (int64_t o = 0; o < outputs; ++o) out[c * outputs + o] += value * up[at * all + o];
        }
      }
    });
  });
}

}  // namespace enas
