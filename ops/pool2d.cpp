#include "ops/pool2d.h"

#include <algorithm>

#include "tensor/dispatch.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

Tensor pooled(const char* op, const Var& x, const Window2d& window, DType dtype) {
  check(x.rank() == 4, op, "needs images [N, H, W, C], got ", x.shape());
  return Tensor({x.size(0), window.output(x.size(1)), window.output(x.size(2)), x.size(3)}, dtype,
                x.value().device());
}

}  // namespace

Var max_pool2d(const Var& x, const Window2d& window) {
  check(window.kernel <= 16, "max_pool2d", "needs a kernel of at most 16, got ", window.kernel);
  Tensor y = pooled("max_pool2d", x, window, x.dtype());
  Tensor index = x.has_grad() ? pooled("max_pool2d", x, window, DType::u8) : Tensor();
  dispatch<cpu::max_pool2d_forward>(x.value(), window, y, index);
  return record("max_pool2d", {x}, std::move(y), [index, window](const Tensor& dy, Grads& dx) {
    dispatch<cpu::max_pool2d_backward>(index, dy, window, dx[0].tensor(), dx[0].into());
  });
}

Var avg_pool2d(const Var& x, const Window2d& window) {
  Tensor y = pooled("avg_pool2d", x, window, x.dtype());
  dispatch<cpu::avg_pool2d_forward>(x.value(), window, y);
  return record("avg_pool2d", {x}, std::move(y), [window](const Tensor& dy, Grads& dx) {
    dispatch<cpu::avg_pool2d_backward>(dy, window, dx[0].tensor(), dx[0].into());
  });
}

namespace {

struct Range {
  int64_t begin, end;
};

// One axis: input = output * stride - before + tap.
struct Axis {
  int64_t in, out, kernel, stride, before;
  Axis(const Window2d& w, int64_t size)
      : in(size), out(w.output(size)), kernel(w.kernel), stride(w.stride), before(w.before(size)) {}
  Range inputs(int64_t o) const {  // inside the image
    const int64_t first = o * stride - before;
    return {std::max<int64_t>(first, 0), std::min(first + kernel, in)};
  }
  Range outputs(int64_t i) const {  // whose windows have i inside
    const int64_t last = i + before;
    const int64_t first = last < kernel ? 0 : (last - kernel) / stride + 1;
    return {first, std::min(last / stride + 1, out)};
  }
  int64_t tap(int64_t o, int64_t i) const { return i + before - o * stride; }
  int64_t taps(int64_t o) const {
    const Range r = inputs(o);
    return r.end - r.begin;
  }
};

template <class F>
void each_pixel(int64_t images, int64_t height, int64_t width, int64_t channels, F f) {
  const int64_t rows = images * height;
  parallel_for(rows, 8192 / (width * channels + 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t x = 0; x < width; ++x) f(r / height, r % height, x);
    }
  });
}

}  // namespace

void cpu::max_pool2d_forward(const Tensor& x, const Window2d& window, Tensor& y, Tensor& index) {
  const Axis down(window, x.size(1)), across(window, x.size(2));
  const int64_t channels = x.size(3);
  visit_real(x.dtype(), "max_pool2d", [&](auto tag) {
    using T = decltype(tag);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    uint8_t* taken = index.defined() ? index.data<uint8_t>() : nullptr;
    each_pixel(x.size(0), down.out, across.out, channels, [&](int64_t n, int64_t oy, int64_t ox) {
      const Range rows = down.inputs(oy), columns = across.inputs(ox);
      for (int64_t c = 0; c < channels; ++c) {
        const auto at = [&](int64_t iy, int64_t ix) {
          return in[((n * down.in + iy) * across.in + ix) * channels + c];
        };
        T best = at(rows.begin, columns.begin);
        int64_t tap = down.tap(oy, rows.begin) * window.kernel + across.tap(ox, columns.begin);
        for (int64_t iy = rows.begin; iy < rows.end; ++iy) {
          for (int64_t ix = columns.begin; ix < columns.end; ++ix) {
            const T value = at(iy, ix);
            if (value > best || value != value) {
              best = value;
              tap = down.tap(oy, iy) * window.kernel + across.tap(ox, ix);
            }
          }
        }
        const int64_t to = ((n * down.out + oy) * across.out + ox) * channels + c;
        out[to] = best;
        if (taken) taken[to] = static_cast<uint8_t>(tap);
      }
    });
  });
}

void cpu::max_pool2d_backward(const Tensor& index, const Tensor& dy, const Window2d& window,
                              Tensor& dx, Into into) {
  const Axis down(window, dx.size(1)), across(window, dx.size(2));
  const int64_t channels = dx.size(3);
  visit_real(dx.dtype(), "max_pool2d", [&](auto tag) {
    using T = decltype(tag);
    const T* up = dy.data<T>();
    const uint8_t* taken = index.data<uint8_t>();
    T* out = dx.data<T>();
    each_pixel(dx.size(0), down.in, across.in, channels, [&](int64_t n, int64_t iy, int64_t ix) {
      const Range rows = down.outputs(iy), columns = across.outputs(ix);
      for (int64_t c = 0; c < channels; ++c) {
        T total = 0;
        for (int64_t oy = rows.begin; oy < rows.end; ++oy) {
          for (int64_t ox = columns.begin; ox < columns.end; ++ox) {
            const int64_t at = ((n * down.out + oy) * across.out + ox) * channels + c;
            const int64_t tap = down.tap(oy, iy) * window.kernel + across.tap(ox, ix);
            total += taken[at] == tap ? up[at] : 0;
          }
        }
        T& g = out[((n * down.in + iy) * across.in + ix) * channels + c];
        g = into == Into::add ? g + total : total;
      }
    });
  });
}

void cpu::avg_pool2d_forward(const Tensor& x, const Window2d& window, Tensor& y) {
  const Axis down(window, x.size(1)), across(window, x.size(2));
  const int64_t channels = x.size(3);
  visit_real(x.dtype(), "avg_pool2d", [&](auto tag) {
    using T = decltype(tag);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    each_pixel(x.size(0), down.out, across.out, channels, [&](int64_t n, int64_t oy, int64_t ox) {
      const Range rows = down.inputs(oy), columns = across.inputs(ox);
      for (int64_t c = 0; c < channels; ++c) {
        T total = 0;
        for (int64_t iy = rows.begin; iy < rows.end; ++iy) {
          for (int64_t ix = columns.begin; ix < columns.end; ++ix) {
            total += in[((n * down.in + iy) * across.in + ix) * channels + c];
          }
        }
        out[((n * down.out + oy) * across.out + ox) * channels + c] =
            total / static_cast<T>(down.taps(oy) * across.taps(ox));
      }
    });
  });
}

void cpu::avg_pool2d_backward(const Tensor& dy, const Window2d& window, Tensor& dx, Into into) {
  const Axis down(window, dx.size(1)), across(window, dx.size(2));
  const int64_t channels = dx.size(3);
  visit_real(dx.dtype(), "avg_pool2d", [&](auto tag) {
    using T = decltype(tag);
    const T* up = dy.data<T>();
    T* out = dx.data<T>();
    each_pixel(dx.size(0), down.in, across.in, channels, [&](int64_t n, int64_t iy, int64_t ix) {
      const Range rows = down.outputs(iy), columns = across.outputs(ix);
      for (int64_t c = 0; c < channels; ++c) {
        T total = 0;
        for (int64_t oy = rows.begin; oy < rows.end; ++oy) {
          for (int64_t ox = columns.begin; ox < columns.end; ++ox) {
            total += up[((n * down.out + oy) * across.out + ox) * channels + c] /
                     static_cast<T>(down.taps(oy) * across.taps(ox));
          }
        }
        T& g = out[((n * down.in + iy) * across.in + ix) * channels + c];
        g = into == Into::add ? g + total : total;
      }
    });
  });
}

}  // namespace enas
