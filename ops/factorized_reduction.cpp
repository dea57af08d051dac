#include "ops/factorized_reduction.h"

#include <algorithm>
#include <vector>

#include "ops/channel_moments.h"
#include "ops/panels.h"
#include "tensor/dispatch.h"
#include "tensor/isa.h"
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
  dispatch<cpu::factorized_reduction_forward, cuda::factorized_reduction_forward>(
      x.value(), w1.value(), w2.value(), relu_on_load, y, result.stats);
  result.y = record("factorized_reduction", {x, w1, w2}, std::move(y),
                    [source = x.value(), a = w1.value(), b = w2.value(), relu_on_load](
                        const Tensor& dy, Grads& dx) {
                      if (dx[0].needed()) {
                        dispatch<cpu::factorized_reduction_backward_input,
                                 cuda::factorized_reduction_backward_input>(
                            source, a, b, relu_on_load, dy, dx[0].tensor(), dx[0].into());
                      }
                      for (const int path : {0, 1}) {
                        Grad& dw = dx[static_cast<size_t>(1 + path)];
                        if (!dw.needed()) continue;
                        dispatch<cpu::factorized_reduction_backward_weight,
                                 cuda::factorized_reduction_backward_weight>(
                            source, relu_on_load, dy, path, dw.tensor(), dw.into());
                      }
                    });
  return result;
}

ISA_SELECT(reduction_gather,
           void(const float* x, bool relu, float* to, int64_t pixels, int64_t channels));
ISA_SELECT(reduction_scatter, void(const float* from, const float* x, float* dx, int64_t width,
                                   int64_t path, int64_t channels, bool add));

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
  // Output rows are taken in blocks of some 64 pixels, whose values stay in cache.
  int64_t block_rows() const { return std::max<int64_t>(1, 64 / columns); }
  int64_t blocks() const { return (images * rows + block_rows() - 1) / block_rows(); }
  int64_t block_end(int64_t block) const {
    return std::min((block + 1) * block_rows(), images * rows);
  }
  // The first pixel of x that the path reads for output row `at` of all images; -1 outside.
  int64_t source(int64_t at, int path) const {
    const int64_t row = at % rows * 2 + path;
    return row < height && path < width ? (at / rows * height + row) * width + path : -1;
  }
  int64_t reads(int path) const { return (width - path + 1) / 2; }  // pixels of a row
};

// The plain moves, for f64.
void gather_row(const double* x, bool relu, double* to, int64_t pixels, int64_t channels) {
  for (int64_t i = 0; i < pixels * channels; ++i) {
    const double value = x[i / channels * 2 * channels + i % channels];
    to[i] = relu && value <= 0 ? 0 : value;
  }
}
void gather_row(const float* x, bool relu, float* to, int64_t pixels, int64_t channels) {
  reduction_gather(x, relu, to, pixels, channels);
}
void scatter_row(const double* from, const double* x, double* dx, int64_t width, int64_t path,
                 int64_t channels, bool add) {
  for (int64_t i = 0; i < width * channels; ++i) {
    const int64_t p = i / channels;
    const double g = p % 2 != path || (x && x[i] <= 0) ? 0 : from[p / 2 * channels + i % channels];
    dx[i] = add ? dx[i] + g : g;
  }
}
void scatter_row(const float* from, const float* x, float* dx, int64_t width, int64_t path,
                 int64_t channels, bool add) {
  reduction_scatter(from, x, dx, width, path, channels, add);
}

// f(x) of what a path reads for a block, [block pixels, channels]; zeros outside.
template <class T>
void gather_block(const Grid& grid, const T* x, int64_t block, int path, bool relu, T* to) {
  const int64_t row = grid.columns * grid.channels;
  for (int64_t at = block * grid.block_rows(); at < grid.block_end(block); ++at, to += row) {
    const int64_t from = grid.source(at, path), read = from < 0 ? 0 : grid.reads(path);
    if (read > 0) gather_row(x + from * grid.channels, relu, to, read, grid.channels);
    std::fill(to + read * grid.channels, to + row, T(0));
  }
}

// A small matrix for products from the right: packed in f32, as it lies in f64.
template <class T>
struct Matrix {
  // Rows [k, n] of w, or with `transposed` of its transpose.
  Matrix(const Tensor& w, bool transposed)
      : k(w.size(transposed ? 1 : 0)), n(w.size(transposed ? 0 : 1)) {
    const int64_t row = transposed ? 1 : n, column = transposed ? k : 1;
    const T* from = w.data<T>();
    if constexpr (sizeof(T) == 4) {
      values.resize(static_cast<size_t>(panels_size(k, n)));
      panels_pack(from, row, column, 0, k, k, n, values.data());
    } else {
      values.resize(static_cast<size_t>(k * n));
      for (int64_t i = 0; i < k * n; ++i)
        values[static_cast<size_t>(i)] = from[i / n * row + i % n * column];
    }
  }
  // c [rows, n] = a [rows, k] times it.
  void multiply(const T* a, int64_t lda, int64_t rows, T* c, int64_t ldc) const {
    if constexpr (sizeof(T) == 4) {
      const PanelRun run{a, lda, k};
      panels_multiply(&run, 1, rows, values.data(), n, c, ldc, false);
    } else {
      for (int64_t r = 0; r < rows; ++r) {
        std::fill_n(c + r * ldc, n, T(0));
        for (int64_t i = 0; i < k; ++i) {
          for (int64_t j = 0; j < n; ++j)
            c[r * ldc + j] += a[r * lda + i] * values[static_cast<size_t>(i * n + j)];
        }
      }
    }
  }
  int64_t k, n;
  std::vector<T> values;
};

// dw [m, n] += a [pixels, m]^T dy [pixels, n]
void add_outer(const float* a, int64_t m, const float* dy, int64_t ldy, int64_t n, int64_t pixels,
               float* dw) {
  panels_outer(PanelPixels{a, m, 0, dy, ldy, 0, 1, pixels}, m, n, dw, n, true);
}
void add_outer(const double* a, int64_t m, const double* dy, int64_t ldy, int64_t n, int64_t pixels,
               double* dw) {
  for (int64_t p = 0; p < pixels; ++p) {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) dw[i * n + j] += a[p * m + i] * dy[p * ldy + j];
    }
  }
}

}  // namespace

void cpu::factorized_reduction_forward(const Tensor& x, const Tensor& w1, const Tensor& w2,
                                       bool relu, Tensor& y, ChannelStats& stats) {
  const Grid grid(x);
  const int64_t all = y.size(3), block = grid.block_rows() * grid.columns;
  visit_real(x.dtype(), "factorized_reduction", [&](auto tag) {
    using T = decltype(tag);
    const Matrix<T> w[2] = {{w1, false}, {w2, false}};
    const T* in = x.data<T>();
    T* out = y.data<T>();
    const bool wanted = stats.mean.defined();
    std::vector<T> moments(wanted ? static_cast<size_t>(grid.blocks() * 2 * all) : 0);
    parallel_for(grid.blocks(), 2, [&](int64_t begin, int64_t end) {
      std::vector<T> gathered(static_cast<size_t>(block * grid.channels));
      for (int64_t b = begin; b < end; ++b) {
        const int64_t first = b * grid.block_rows();
        const int64_t pixels = (grid.block_end(b) - first) * grid.columns;
        T* const to = out + first * grid.columns * all;
        for (const int path : {0, 1}) {
          gather_block(grid, in, b, path, relu, gathered.data());
          w[path].multiply(gathered.data(), grid.channels, pixels, to + (path ? w[0].n : 0), all);
        }
        if (wanted) block_moments(to, pixels, all, moments.data() + b * 2 * all);
      }
    });
    if (wanted) {
      join_moments(moments.data(), grid.outputs(), block, all, stats.mean.data<T>(),
                   stats.variance.data<T>());
    }
  });
}

void cpu::factorized_reduction_backward_input(const Tensor& x, const Tensor& w1, const Tensor& w2,
                                              bool relu, const Tensor& dy, Tensor& dx, Into into) {
  const Grid grid(x);
  const int64_t all = dy.size(3), row = grid.width * grid.channels;
  visit_real(x.dtype(), "factorized_reduction", [&](auto tag) {
    using T = decltype(tag);
    const Matrix<T> w[2] = {{w1, true}, {w2, true}};
    const T *in = relu ? x.data<T>() : nullptr, *up = dy.data<T>();
    T* out = dx.data<T>();
    parallel_for(grid.blocks(), 2, [&](int64_t begin, int64_t end) {
      std::vector<T> product(static_cast<size_t>(grid.block_rows() * grid.columns * grid.channels));
      for (int64_t b = begin; b < end; ++b) {
        const int64_t first = b * grid.block_rows(), last = grid.block_end(b);
        for (const int path : {0, 1}) {
          w[path].multiply(up + first * grid.columns * all + (path ? w[0].k : 0), all,
                           (last - first) * grid.columns, product.data(), grid.channels);
          for (int64_t at = first; at < last; ++at) {
            const int64_t image = at / grid.rows, input = at % grid.rows * 2 + path;
            if (input >= grid.height) continue;
            const int64_t to = (image * grid.height + input) * row;
            scatter_row(product.data() + (at - first) * grid.columns * grid.channels,
                        in ? in + to : nullptr, out + to, grid.width, path, grid.channels,
                        into == Into::add);
          }
        }
      }
    });
  });
}

void cpu::factorized_reduction_backward_weight(const Tensor& x, bool relu, const Tensor& dy,
                                               int path, Tensor& dw, Into into) {
  const Grid grid(x);
  const int64_t n = dw.size(1), all = dy.size(3), size = dw.numel();
  visit_real(x.dtype(), "factorized_reduction", [&](auto tag) {
    using T = decltype(tag);
    const T *in = x.data<T>(), *up = dy.data<T>() + (path ? all - n : 0);
    // Partitions of the blocks have sums of their own, added in order.
    const int parts = std::min(chunk_count(grid.blocks(), 4), 16);
    std::vector<T> sums(static_cast<size_t>(parts * size));
    parallel_chunks(parts, [&](int part) {
      std::vector<T> gathered(
          static_cast<size_t>(grid.block_rows() * grid.columns * grid.channels));
      for (int64_t b = grid.blocks() * part / parts; b < grid.blocks() * (part + 1) / parts; ++b) {
        const int64_t first = b * grid.block_rows() * grid.columns;
        gather_block(grid, in, b, path, relu, gathered.data());
        add_outer(gathered.data(), grid.channels, up + first * all, all, n,
                  grid.block_end(b) * grid.columns - first, sums.data() + part * size);
      }
    });
    T* out = dw.data<T>();
    for (int64_t i = 0; i < size; ++i) {
      T total = into == Into::add ? out[i] : 0;
      for (int part = 0; part < parts; ++part) total += sums[static_cast<size_t>(part * size + i)];
      out[i] = total;
    }
  });
}

}  // namespace enas
