#include "ops/conv2d.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "ops/channel_moments.h"
#include "ops/panels.h"
#include "ops/partial_sums.h"
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
  dispatch<cpu::conv2d_forward, cuda::conv2d_forward>(x.value(), w.value(), window, y,
                                                      stats ? &result.stats : nullptr);
  // Each factor is kept only for the other one's gradient.
  const Tensor kept_x = w.has_grad() ? x.value() : Tensor();
  const Tensor kept_w = x.has_grad() ? w.value() : Tensor();
  result.y = record("conv2d", {x, w}, y, [kept_x, kept_w, window](const Tensor& dy, Grads& dx) {
    if (dx[1].needed())
      dispatch<cpu::conv2d_backward_weight, cuda::conv2d_backward_weight>(
          kept_x, dy, window, dx[1].tensor(), dx[1].into());
    if (dx[0].needed())
      dispatch<cpu::conv2d_backward_data, cuda::conv2d_backward_data>(dy, kept_w, window,
                                                                      dx[0].tensor(), dx[0].into());
  });
  return result;
}

namespace {

// x [n, h, w, ci], y [n, oh, ow, co], weights [k, k, ci, co]; top, left: the border's.
struct Geometry {
  Geometry(const Shape& x, const Shape& y, const Window2d& window)
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

  // Calls f(output pixel, input pixel, tap) for the taps of images [begin, end) that lie inside.
  template <class F>
  void taps(int64_t begin, int64_t end, F&& f) const {
    for (int64_t at = begin * oh * ow; at < end * oh * ow; ++at) {
      for (int64_t tap = 0; tap < k * k; ++tap) {
        const int64_t y = at / ow % oh * stride - top + tap / k;
        const int64_t x = at % ow * stride - left + tap % k;
        if (y >= 0 && y < h && x >= 0 && x < w) f(at, (at / (oh * ow) * h + y) * w + x, tap);
      }
    }
  }
};

// The plain loops: f64, for gradient checks.
void plain_forward(const Geometry& p, const double* x, const double* w, double* y) {
  parallel_for(p.n, 1, [&](int64_t begin, int64_t end) {
    std::fill(y + begin * p.oh * p.ow * p.co, y + end * p.oh * p.ow * p.co, 0.0);
    p.taps(begin, end, [&](int64_t at, int64_t pixel, int64_t tap) {
      for (int64_t a = 0; a < p.ci; ++a) {
        const double v = x[pixel * p.ci + a];
        for (int64_t b = 0; b < p.co; ++b) y[at * p.co + b] += v * w[(tap * p.ci + a) * p.co + b];
      }
    });
  });
}

void plain_backward_data(const Geometry& p, const double* dy, const double* w, double* dx,
                         bool add) {
  parallel_for(p.n, 1, [&](int64_t begin, int64_t end) {
    if (!add) std::fill(dx + begin * p.h * p.w * p.ci, dx + end * p.h * p.w * p.ci, 0.0);
    p.taps(begin, end, [&](int64_t at, int64_t pixel, int64_t tap) {
      for (int64_t a = 0; a < p.ci; ++a) {
        double sum = 0;
        for (int64_t b = 0; b < p.co; ++b)
          sum += dy[at * p.co + b] * w[(tap * p.ci + a) * p.co + b];
        dx[pixel * p.ci + a] += sum;
      }
    });
  });
}

void plain_backward_weight(const Geometry& p, const double* x, const double* dy, double* dw,
                           bool add) {
  if (!add) std::fill_n(dw, p.k * p.k * p.ci * p.co, 0.0);
  parallel_for(p.ci, 1, [&](int64_t begin, int64_t end) {  // whole rows of dw
    p.taps(0, p.n, [&](int64_t at, int64_t pixel, int64_t tap) {
      for (int64_t a = begin; a < end; ++a) {
        const double v = x[pixel * p.ci + a];
        for (int64_t b = 0; b < p.co; ++b) dw[(tap * p.ci + a) * p.co + b] += v * dy[at * p.co + b];
      }
    });
  });
}

// f32. An image in a frame of zeros, cut where nobody reads: frame row r is image row r - top.
// Windows that need no border read the image where it lies.
class Frame {
 public:
  Frame(int64_t h, int64_t w, int64_t c, int64_t top, int64_t left, int64_t rows, int64_t columns)
      : h_(h), w_(w), c_(c), top_(top), left_(left), rows_(rows), columns_(columns) {
    if (top == 0 && left == 0 && rows <= h && columns <= w) {
      columns_ = w;
      return;
    }
    values_ = Tensor({rows * columns * c});
    values_.fill(0);
  }
  int64_t pitch() const { return columns_ * c_; }
  // Takes in an image; its frame until the next one.
  const float* hold(const float* image) {
    if (!values_.defined()) return image;
    float* const frame = values_.data<float>();
    const int64_t x0 = std::max<int64_t>(left_, 0), x1 = std::min(left_ + w_, columns_);
    const int64_t y0 = std::max<int64_t>(top_, 0), y1 = std::min(top_ + h_, rows_);
    for (int64_t y = y0; y < y1 && x0 < x1; ++y)
      std::memcpy(frame + (y * columns_ + x0) * c_, image + ((y - top_) * w_ + x0 - left_) * c_,
                  static_cast<size_t>((x1 - x0) * c_) * sizeof(float));
    return frame;
  }

 private:
  int64_t h_, w_, c_, top_, left_, rows_, columns_;
  Tensor values_;
};

// The frame of x that a window reads.
Frame input_frame(const Geometry& p) {
  return Frame(p.h, p.w, p.ci, p.top, p.left, (p.oh - 1) * p.stride + p.k,
               (p.ow - 1) * p.stride + p.k);
}

// Whether a row is one of an image's; a product passes over the others, which are zeros.
bool inside(int64_t row, int64_t rows) { return row >= 0 && row < rows; }

// Images a chunk, at least some microseconds of work.
int64_t image_grain(const Geometry& p) {
  return 1 + (int64_t{1} << 18) / (p.oh * p.ow * p.k * p.k * p.ci * p.co + 1);
}

void forward(const Geometry& p, const float* x, const float* w, float* y, ChannelStats* stats) {
  const int64_t depth = p.k * p.k * p.ci, pixels = p.oh * p.ow;
  Tensor panels({panels_size(depth, p.co)}), moments;
  panels_pack(w, p.co, 1, 0, depth, depth, p.co, panels.data<float>());
  if (stats != nullptr) moments = Tensor({p.n, 2, p.co});
  parallel_for(p.n, image_grain(p), [&](int64_t begin, int64_t end) {
    Frame frame = input_frame(p);
    const int64_t pitch = frame.pitch();
    std::vector<PanelRun> runs(static_cast<size_t>(p.k));
    for (int64_t image = begin; image < end; ++image) {
      const float* const from = frame.hold(x + image * p.h * p.w * p.ci);
      float* const to = y + image * pixels * p.co;
      for (int64_t i = 0; i < p.oh; ++i) {
        for (int64_t ky = 0; ky < p.k; ++ky) {
          const int64_t row = i * p.stride + ky;
          runs[static_cast<size_t>(ky)] = {inside(row - p.top, p.h) ? from + row * pitch : nullptr,
                                           p.stride * p.ci, p.k * p.ci};
        }
        panels_multiply(runs.data(), p.k, p.ow, panels.data<float>(), p.co, to + i * p.ow * p.co,
                        p.co, false);
      }
      if (stats != nullptr)
        block_moments(to, pixels, p.co, moments.data<float>() + image * 2 * p.co);
    }
  });
  if (stats != nullptr)
    join_moments(moments.data<float>(), p.n * pixels, pixels, p.co, stats->mean.data<float>(),
                 stats->variance.data<float>());
}

// One axis of the gradient of x at stride s: pixels y = first, first + s, ... read the taps r,
// r + s, ... of the kernel, and with those in reverse, rows start, start + 1, ... of dy:
//   dx[first + s u] = sum_t dy[start + u + t] w[r + s (taps - 1 - t)]^T
struct Phase {
  Phase(int64_t size, int64_t kernel, int64_t stride, int64_t before, int64_t phase)
      : first(phase),
        count(phase < size ? (size - 1 - phase) / stride + 1 : 0),
        r((phase + before) % stride),
        taps(r < kernel ? (kernel - 1 - r) / stride + 1 : 0),
        start((phase + before - r) / stride - (taps - 1)) {}
  int64_t first, count, r, taps, start;
  int64_t tap(int64_t t, int64_t stride) const { return r + stride * (taps - 1 - t); }
};

// What the pixels of one phase of rows and one of columns need.
struct PhasePair {
  Phase rows, columns;
  Tensor panels;
};
std::vector<PhasePair> phases_of(const Geometry& p, const float* w) {
  std::vector<PhasePair> pairs;
  for (int64_t i = 0; i < p.stride * p.stride; ++i) {
    PhasePair pair{Phase(p.h, p.k, p.stride, p.top, i / p.stride),
                   Phase(p.w, p.k, p.stride, p.left, i % p.stride),
                   {}};
    const int64_t across = pair.columns.taps, taps = pair.rows.taps * across;
    if (pair.rows.count == 0 || pair.columns.count == 0) continue;
    pair.panels = Tensor({panels_size(taps * p.co, p.ci)});
    for (int64_t t = 0; t < taps; ++t) {
      const int64_t tap =
          pair.rows.tap(t / across, p.stride) * p.k + pair.columns.tap(t % across, p.stride);
      panels_pack(w + tap * p.ci * p.co, 1, p.co, t * p.co, p.co, taps * p.co, p.ci,
                  pair.panels.data<float>());
    }
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

void backward_data(const Geometry& p, const float* dy, const float* w, float* dx, bool add) {
  const std::vector<PhasePair> pairs = phases_of(p, w);
  int64_t top = 0, left = 0, bottom = 1, right = 1;  // what all phases read of dy
  for (const PhasePair& pair : pairs) {
    top = std::min(top, pair.rows.start);
    left = std::min(left, pair.columns.start);
    bottom = std::max(bottom, pair.rows.start + pair.rows.count + pair.rows.taps - 1);
    right = std::max(right, pair.columns.start + pair.columns.count + pair.columns.taps - 1);
  }
  parallel_for(p.n, image_grain(p), [&](int64_t begin, int64_t end) {
    Frame frame(p.oh, p.ow, p.co, -top, -left, bottom - top, right - left);
    const int64_t pitch = frame.pitch();
    std::vector<PanelRun> runs(static_cast<size_t>(p.k));
    for (int64_t image = begin; image < end; ++image) {
      const float* const from = frame.hold(dy + image * p.oh * p.ow * p.co);
      for (const PhasePair& pair : pairs) {
        const float* const base = from + (pair.columns.start - left) * p.co;
        const int64_t taps = pair.columns.taps > 0 ? pair.rows.taps : 0;
        for (int64_t u = 0; u < pair.rows.count; ++u) {
          for (int64_t t = 0; t < taps; ++t) {
            const int64_t row = pair.rows.start + u + t;
            runs[static_cast<size_t>(t)] = {
                inside(row, p.oh) ? base + (row - top) * pitch : nullptr, p.co,
                pair.columns.taps * p.co};
          }
          const int64_t row = image * p.h + pair.rows.first + u * p.stride;
          panels_multiply(runs.data(), taps, pair.columns.count, pair.panels.data<float>(), p.ci,
                          dx + (row * p.w + pair.columns.first) * p.ci, p.stride * p.ci, add);
        }
      }
    }
  });
}

void backward_weight(const Geometry& p, const float* x, const float* dy, Tensor& dw, Into into) {
  constexpr int64_t kPixels = 128;  // of a block: x and dy stay in the first cache
  const int64_t m = p.k * p.ci, block = std::max<int64_t>(kPixels / p.ow, 1);
  const PartialSums sums(p.n * p.oh * p.ow * dw.numel(), p.n, dw.numel());
  parallel_chunks(sums.parts(), [&](int part) {
    Frame frame = input_frame(p);
    const int64_t pitch = frame.pitch();
    const int64_t begin = p.n * part / sums.parts(), end = p.n * (part + 1) / sums.parts();
    sums.clear_if(begin == end, part);
    for (int64_t image = begin; image < end; ++image) {
      const float* const from = frame.hold(x + image * p.h * p.w * p.ci);
      const float* const up = dy + image * p.oh * p.ow * p.co;
      for (int64_t i = 0; i < p.oh; i += block) {
        for (int64_t ky = 0; ky < p.k; ++ky) {
          // Output rows whose window row ky lies in the image; the others add zeros.
          const int64_t first = std::max(i, (p.top - ky + p.stride - 1) / p.stride);
          const int64_t last = std::min({i + block, p.oh, (p.h - 1 + p.top - ky) / p.stride + 1});
          const PanelPixels pixels{from + (first * p.stride + ky) * pitch,
                                   p.stride * p.ci,
                                   p.stride * pitch,
                                   up + first * p.ow * p.co,
                                   p.co,
                                   p.ow * p.co,
                                   std::max<int64_t>(last - first, 0),
                                   p.ow};
          panels_outer(pixels, m, p.co, sums.part(part) + ky * m * p.co, p.co,
                       image > begin || i > 0);
        }
      }
    }
  });
  sums.add_up(0, dw, into);
}

}  // namespace

void cpu::conv2d_forward(const Tensor& x, const Tensor& w, const Window2d& window, Tensor& y,
                         ChannelStats* stats) {
  const Geometry p(x.shape(), y.shape(), window);
  if (y.numel() == 0) return;
  if (y.dtype() == DType::f32)
    return forward(p, x.data<float>(), w.data<float>(), y.data<float>(), stats);
  plain_forward(p, x.data<double>(), w.data<double>(), y.data<double>());
  if (stats != nullptr) cpu::channel_stats(y, stats->mean, stats->variance);
}

void cpu::conv2d_backward_data(const Tensor& dy, const Tensor& w, const Window2d& window,
                               Tensor& dx, Into into) {
  const Geometry p(dx.shape(), dy.shape(), window);
  const bool add = into == Into::add;
  if (dx.numel() == 0) return;
  if (dx.dtype() == DType::f32)
    return backward_data(p, dy.data<float>(), w.data<float>(), dx.data<float>(), add);
  plain_backward_data(p, dy.data<double>(), w.data<double>(), dx.data<double>(), add);
}

void cpu::conv2d_backward_weight(const Tensor& x, const Tensor& dy, const Window2d& window,
                                 Tensor& dw, Into into) {
  const Geometry p(x.shape(), dy.shape(), window);
  if (dw.dtype() == DType::f32)
    return backward_weight(p, x.data<float>(), dy.data<float>(), dw, into);
  plain_backward_weight(p, x.data<double>(), dy.data<double>(), dw.data<double>(),
                        into == Into::add);
}

}  // namespace enas
