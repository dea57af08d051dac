#include "ops/pool2d.h"

#include <algorithm>
#include <cmath>

#include "ops/pool_shape.h"
#include "tensor/dispatch.h"
#include "tensor/isa.h"
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
  dispatch<cpu::max_pool2d_forward, cuda::max_pool2d_forward>(x.value(), window, y, index);
  return record("max_pool2d", {x}, std::move(y), [index, window](const Tensor& dy, Grads& dx) {
    dispatch<cpu::max_pool2d_backward, cuda::max_pool2d_backward>(index, dy, window, dx[0].tensor(),
                                                                  dx[0].into());
  });
}

Var avg_pool2d(const Var& x, const Window2d& window) {
  Tensor y = pooled("avg_pool2d", x, window, x.dtype());
  dispatch<cpu::avg_pool2d_forward, cuda::avg_pool2d_forward>(x.value(), window, y);
  return record("avg_pool2d", {x}, std::move(y), [window](const Tensor& dy, Grads& dx) {
    dispatch<cpu::avg_pool2d_backward, cuda::avg_pool2d_backward>(dy, window, dx[0].tensor(),
                                                                  dx[0].into());
  });
}

ISA_SELECT(max_pool_rows, void(const float* x, float* y, uint8_t* index, PoolShape shape,
                               int64_t from, int64_t to));
ISA_SELECT(max_pool_rows_backward, void(const uint8_t* index, const float* dy, float* dx,
                                        PoolShape shape, int64_t from, int64_t to, bool add));
ISA_SELECT(avg_pool_rows,
           void(const float* x, float* y, PoolShape shape, int64_t from, int64_t to));
ISA_SELECT(avg_pool_rows_backward,
           void(const float* dy, float* dx, PoolShape shape, int64_t from, int64_t to, bool add));

namespace {

constexpr int64_t kGrain = 8192;  // elements a chunk

PoolShape shape_of(const Shape& x, const Window2d& w) {
  PoolShape s{};
  s.height = x[1], s.width = x[2], s.channels = x[3];
  s.rows = w.output(s.height), s.columns = w.output(s.width);
  s.kernel = w.kernel, s.stride = w.stride;
  s.top = w.before(s.height), s.left = w.before(s.width);
  s.flat = w.kernel == 3 && w.stride == 1 && s.top == 1 && s.left == 1;
  return s;
}

// f(image, from, to) for the images' rows, all in one sequence of chunks.
template <class F>
void each_image_rows(int64_t images, int64_t height, int64_t row, F f) {
  parallel_for(images * height, kGrain / (row + 1), [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t image = begin / height, from = begin % height;
      const int64_t to = std::min(height, from + end - begin);
      f(image, from, to);
      begin += to - from;
    }
  });
}

// The plain loops, for f64, under the names and with the arguments of the kernels.

struct Range {
  int64_t begin, end;
};
// One axis: input = output * stride - before + tap.
struct Axis {
  int64_t in, out, kernel, stride, before;
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
  double taps(int64_t o) const {
    const Range r = inputs(o);
    return static_cast<double>(r.end - r.begin);
  }
};
Axis down_of(const PoolShape& s) { return {s.height, s.rows, s.kernel, s.stride, s.top}; }
Axis across_of(const PoolShape& s) { return {s.width, s.columns, s.kernel, s.stride, s.left}; }

// f(row, column, channel) in the order of memory.
template <class F>
void each_value(int64_t from, int64_t to, int64_t columns, int64_t channels, F f) {
  for (int64_t r = from; r < to; ++r) {
    for (int64_t x = 0; x < columns; ++x) {
      for (int64_t c = 0; c < channels; ++c) f(r, x, c);
    }
  }
}

void max_rows(const double* x, double* y, uint8_t* index, const PoolShape& s, int64_t from,
              int64_t to) {
  const Axis down = down_of(s), across = across_of(s);
  each_value(from, to, s.columns, s.channels, [&](int64_t oy, int64_t ox, int64_t c) {
    const Range rows = down.inputs(oy), columns = across.inputs(ox);
    double best = -INFINITY;
    int64_t place = -1;
    for (int64_t iy = rows.begin; iy < rows.end; ++iy) {
      for (int64_t ix = columns.begin; ix < columns.end; ++ix) {
        const double value = x[(iy * s.width + ix) * s.channels + c];
        if (place >= 0 && !(value > best) && value == value) continue;
        best = value;
        place = down.tap(oy, iy) * s.kernel + across.tap(ox, ix);
      }
    }
    const int64_t at = (oy * s.columns + ox) * s.channels + c;
    y[at] = best;
    if (index) index[at] = static_cast<uint8_t>(place);
  });
}
void max_rows_backward(const uint8_t* index, const double* dy, double* dx, const PoolShape& s,
                       int64_t from, int64_t to, bool add) {
  const Axis down = down_of(s), across = across_of(s);
  each_value(from, to, s.width, s.channels, [&](int64_t iy, int64_t ix, int64_t c) {
    const Range rows = down.outputs(iy), columns = across.outputs(ix);
    double total = 0;
    for (int64_t oy = rows.begin; oy < rows.end; ++oy) {
      for (int64_t ox = columns.begin; ox < columns.end; ++ox) {
        const int64_t at = (oy * s.columns + ox) * s.channels + c;
        const int64_t place = down.tap(oy, iy) * s.kernel + across.tap(ox, ix);
        total += index[at] == place ? dy[at] : 0;
      }
    }
    double& g = dx[(iy * s.width + ix) * s.channels + c];
    g = add ? g + total : total;
  });
}
void avg_rows(const double* x, double* y, const PoolShape& s, int64_t from, int64_t to) {
  const Axis down = down_of(s), across = across_of(s);
  each_value(from, to, s.columns, s.channels, [&](int64_t oy, int64_t ox, int64_t c) {
    const Range rows = down.inputs(oy), columns = across.inputs(ox);
    double total = 0;
    for (int64_t iy = rows.begin; iy < rows.end; ++iy) {
      for (int64_t ix = columns.begin; ix < columns.end; ++ix) {
        total += x[(iy * s.width + ix) * s.channels + c];
      }
    }
    y[(oy * s.columns + ox) * s.channels + c] = total / (down.taps(oy) * across.taps(ox));
  });
}
void avg_rows_backward(const double* dy, double* dx, const PoolShape& s, int64_t from, int64_t to,
                       bool add) {
  const Axis down = down_of(s), across = across_of(s);
  each_value(from, to, s.width, s.channels, [&](int64_t iy, int64_t ix, int64_t c) {
    const Range rows = down.outputs(iy), columns = across.outputs(ix);
    double total = 0;
    for (int64_t oy = rows.begin; oy < rows.end; ++oy) {
      for (int64_t ox = columns.begin; ox < columns.end; ++ox) {
        total += dy[(oy * s.columns + ox) * s.channels + c] / (down.taps(oy) * across.taps(ox));
      }
    }
    double& g = dx[(iy * s.width + ix) * s.channels + c];
    g = add ? g + total : total;
  });
}

void max_rows(const float* x, float* y, uint8_t* index, const PoolShape& s, int64_t from,
              int64_t to) {
  max_pool_rows(x, y, index, s, from, to);
}
void max_rows_backward(const uint8_t* index, const float* dy, float* dx, const PoolShape& s,
                       int64_t from, int64_t to, bool add) {
  max_pool_rows_backward(index, dy, dx, s, from, to, add);
}
void avg_rows(const float* x, float* y, const PoolShape& s, int64_t from, int64_t to) {
  avg_pool_rows(x, y, s, from, to);
}
void avg_rows_backward(const float* dy, float* dx, const PoolShape& s, int64_t from, int64_t to,
                       bool add) {
  avg_pool_rows_backward(dy, dx, s, from, to, add);
}

}  // namespace

void cpu::max_pool2d_forward(const Tensor& x, const Window2d& window, Tensor& y, Tensor& index) {
  const PoolShape s = shape_of(x.shape(), window);
  const int64_t in = s.height * s.width * s.channels, out = s.rows * s.columns * s.channels;
  visit_real(x.dtype(), "max_pool2d", [&](auto tag) {
    using T = decltype(tag);
    const T* from_x = x.data<T>();
    T* to_y = y.data<T>();
    uint8_t* places = index.defined() ? index.data<uint8_t>() : nullptr;
    each_image_rows(x.size(0), s.rows, out / s.rows, [&](int64_t n, int64_t from, int64_t to) {
      max_rows(from_x + n * in, to_y + n * out, places ? places + n * out : nullptr, s, from, to);
    });
  });
}

void cpu::max_pool2d_backward(const Tensor& index, const Tensor& dy, const Window2d& window,
                              Tensor& dx, Into into) {
  const PoolShape s = shape_of(dx.shape(), window);
  const int64_t in = s.height * s.width * s.channels, out = s.rows * s.columns * s.channels;
  visit_real(dx.dtype(), "max_pool2d", [&](auto tag) {
    using T = decltype(tag);
    const T* from_dy = dy.data<T>();
    const auto* places = index.data<uint8_t>();
    T* to_dx = dx.data<T>();
    each_image_rows(dx.size(0), s.height, in / s.height, [&](int64_t n, int64_t from, int64_t to) {
      max_rows_backward(places + n * out, from_dy + n * out, to_dx + n * in, s, from, to,
                        into == Into::add);
    });
  });
}

void cpu::avg_pool2d_forward(const Tensor& x, const Window2d& window, Tensor& y) {
  const PoolShape s = shape_of(x.shape(), window);
  const int64_t in = s.height * s.width * s.channels, out = s.rows * s.columns * s.channels;
  visit_real(x.dtype(), "avg_pool2d", [&](auto tag) {
    using T = decltype(tag);
    const T* from_x = x.data<T>();
    T* to_y = y.data<T>();
    each_image_rows(x.size(0), s.rows, out / s.rows, [&](int64_t n, int64_t from, int64_t to) {
      avg_rows(from_x + n * in, to_y + n * out, s, from, to);
    });
  });
}

void cpu::avg_pool2d_backward(const Tensor& dy, const Window2d& window, Tensor& dx, Into into) {
  const PoolShape s = shape_of(dx.shape(), window);
  const int64_t in = s.height * s.width * s.channels, out = s.rows * s.columns * s.channels;
  visit_real(dx.dtype(), "avg_pool2d", [&](auto tag) {
    using T = decltype(tag);
    const T* from_dy = dy.data<T>();
    T* to_dx = dx.data<T>();
    each_image_rows(dx.size(0), s.height, in / s.height, [&](int64_t n, int64_t from, int64_t to) {
      avg_rows_backward(from_dy + n * out, to_dx + n * in, s, from, to, into == Into::add);
    });
  });
}

}  // namespace enas
