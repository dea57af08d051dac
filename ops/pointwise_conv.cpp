#include "ops/pointwise_conv.h"

#include <algorithm>

#include "ops/channel_moments.h"
#include "ops/panels.h"
#include "ops/partial_sums.h"
#include "tensor/dispatch.h"
#include "tensor/thread_pool.h"

namespace enas {

ISA_SELECT(relu_copy, void(const float* x, float* to, int64_t n));
ISA_SELECT(relu_mask, void(const float* x, const float* g, float* dx, int64_t n, bool add));
namespace {

void check_operands(std::span<const Var> sources, std::span<const Var> weights) {
  check(!sources.empty() && sources.size() == weights.size(), "pointwise_conv",
        "needs a weight for each source, got ", sources.size(), " sources and ", weights.size(),
        " weights");
  const Var &first = sources[0], &weight = weights[0];
  for (size_t i = 0; i < sources.size(); ++i) {
    const Var &s = sources[i], &w = weights[i];
    check(s.rank() == 4 && w.rank() == 2 && w.size(0) == s.size(3), "pointwise_conv",
          "needs a source [N, H, W, C] and its weight [C, Cout], got ", s.shape(), " and ",
          w.shape());
    check(s.shape().rows() == first.shape().rows() && s.size(0) == first.size(0) &&
              s.size(1) == first.size(1) && w.size(1) == weight.size(1),
          "pointwise_conv", "sources differ in images or weights in outputs: ", first.shape(), " ",
          weight.shape(), " and ", s.shape(), " ", w.shape());
    check(s.dtype() == first.dtype() && w.dtype() == first.dtype(), "pointwise_conv",
          "needs one dtype, got ", first.dtype(), ", ", s.dtype(), " and ", w.dtype());
    check(s.value().device() == first.value().device() &&
              w.value().device() == first.value().device(),
          "pointwise_conv", "sources and weights on different devices; move them to one");
  }
}

std::vector<Tensor> values_of(std::span<const Var> vars) {
  std::vector<Tensor> values;
  values.reserve(vars.size());
  for (const Var& v : vars) values.push_back(v.value());
  return values;
}

std::vector<GradOut> outs_of(std::span<Grad> grads) {
  std::vector<GradOut> outs;
  outs.reserve(grads.size());
  for (Grad& g : grads) outs.push_back(grad_out(g));
  return outs;
}

}  // namespace

RawConv pointwise_conv(std::span<const Var> sources, std::span<const Var> weights,
                       bool relu_on_load, bool stats) {
  check_operands(sources, weights);
  const Var& first = sources[0];
  Shape shape = first.shape();
  shape.set(3, weights[0].size(1));
  Tensor y(shape, first.dtype(), first.value().device());
  RawConv result;
  if (stats) {
    check(shape.rows() > 0, "pointwise_conv", "no statistics of an empty batch ", first.shape());
    result.stats.mean = Tensor({shape[3]}, first.dtype(), first.value().device());
    result.stats.variance = empty_like(result.stats.mean);
    result.stats.count = shape.rows();
  }
  std::vector<Tensor> x = values_of(sources), w = values_of(weights);
  dispatch<cpu::pointwise_conv_forward, cuda::pointwise_conv_forward>(
      y, x, w, relu_on_load, stats ? &result.stats : nullptr);
  std::vector<Input> inputs;
  inputs.reserve(2 * x.size());
  for (const Var& v : sources) inputs.emplace_back(v);
  for (const Var& v : weights) inputs.emplace_back(v);
  for (size_t i = 0; i < x.size(); ++i) {  // each factor only for the other one's gradient
    if (!weights[i].has_grad() && !(relu_on_load && sources[i].has_grad())) x[i] = {};
    if (!sources[i].has_grad()) w[i] = {};
  }
  result.y =
      record("pointwise_conv", std::span<const Input>(inputs), y,
             [x = std::move(x), w = std::move(w), relu_on_load](const Tensor& dy, Grads& grads) {
               const std::vector<GradOut> dw = outs_of(grads.subspan(x.size()));
               const std::vector<GradOut> dx = outs_of(grads.first(x.size()));
               dispatch<cpu::pointwise_conv_backward, cuda::pointwise_conv_backward>(
                   dy, x, w, relu_on_load, dx, dw);
             });
  return result;
}

namespace {

// The plain loops: f64, for gradient checks.
double loaded(double v, bool relu) { return relu && v < 0 ? 0 : v; }

// y [rows x co] (+)= f(x) [rows x ci] w
void plain_forward(const double* x, const double* w, int64_t rows, int64_t ci, int64_t co,
                   bool relu, bool add, double* y) {
  parallel_for(rows, 1 + 4096 / (ci * co + 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      double* const out = y + r * co;
      if (!add) std::fill_n(out, co, 0.0);
      for (int64_t a = 0; a < ci; ++a) {
        const double v = loaded(x[r * ci + a], relu);
        for (int64_t b = 0; b < co; ++b) out[b] += v * w[a * co + b];
      }
    }
  });
}

// dx [rows x ci] (+)= f'(x) dy w^T; x null: f is nothing
void plain_backward_data(const double* x, const double* w, const double* dy, int64_t rows,
                         int64_t ci, int64_t co, bool add, double* dx) {
  parallel_for(rows, 1 + 4096 / (ci * co + 1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * ci; i < end * ci; ++i) {
      double sum = add ? dx[i] : 0;
      if (x == nullptr || x[i] > 0) {
        const double *up = dy + i / ci * co, *row = w + i % ci * co;
        for (int64_t b = 0; b < co; ++b) sum += up[b] * row[b];
      }
      dx[i] = sum;
    }
  });
}

// dw (+)= f(x)^T dy, split over rows of dw
void plain_backward_weight(const double* x, const double* dy, int64_t rows, int64_t ci, int64_t co,
                           bool relu, bool add, double* dw) {
  parallel_for(ci, 1, [&](int64_t begin, int64_t end) {
    if (!add) std::fill(dw + begin * co, dw + end * co, 0.0);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t a = begin; a < end; ++a) {
        const double v = loaded(x[r * ci + a], relu);
        for (int64_t b = 0; b < co; ++b) dw[a * co + b] += v * dy[r * co + b];
      }
    }
  });
}

// f32: rows in blocks that leave their moments, blocks in strips that fit the first cache.
constexpr int64_t kBlock = 256, kStrip = 64;
constexpr int64_t kGrain = 1 << 19;  // multiply-adds a chunk
int64_t blocks_of(int64_t rows) { return (rows + kBlock - 1) / kBlock; }

// Calls f(begin, end) over rows in chunks of whole blocks, `worth` multiply-adds a row.
template <class F>
void each_chunk(int64_t rows, int64_t worth, F&& f) {
  parallel_for(blocks_of(rows), kGrain / (kBlock * worth + 1), [&](int64_t begin, int64_t end) {
    f(begin * kBlock, std::min(end * kBlock, rows));
  });
}
template <class F>
void each_strip(int64_t begin, int64_t end, F&& f) {
  for (int64_t r = begin; r < end; r += kStrip) f(r, std::min(kStrip, end - r));
}

int64_t channels_of(std::span<const Tensor> tensors, int axis) {
  int64_t total = 0;
  for (const Tensor& t : tensors) total += t.defined() ? t.size(axis) : 0;
  return total;
}

void forward(Tensor& y, std::span<const Tensor> sources, std::span<const Tensor> weights, bool relu,
             ChannelStats* stats) {
  const int64_t rows = y.shape().rows(), co = y.size(3), total = channels_of(weights, 0);
  Tensor panels({panels_size(total, co)}), moments;
  float* const packed = panels.data<float>();
  int64_t at = 0;
  for (const Tensor& w : weights) {
    panels_pack(w.data<float>(), co, 1, at, w.size(0), total, co, packed);
    at += w.size(0);
  }
  if (stats != nullptr) moments = Tensor({blocks_of(rows), 2, co});
  float* const out = y.data<float>();
  each_chunk(rows, total * co, [&](int64_t begin, int64_t end) {
    Tensor scratch;
    if (relu) scratch = Tensor({kStrip * total});
    std::vector<PanelRun> runs(sources.size());
    each_strip(begin, end, [&](int64_t first, int64_t n) {
      float* to = relu ? scratch.data<float>() : nullptr;
      for (size_t i = 0; i < runs.size(); ++i) {
        const int64_t ci = weights[i].size(0);
        const float* const x = sources[i].data<float>() + first * ci;
        runs[i] = {relu ? to : x, ci, ci};
        if (relu) relu_copy(x, to, n * ci), to += n * ci;
      }
      panels_multiply(runs.data(), static_cast<int64_t>(runs.size()), n, packed, co,
                      out + first * co, co, false);
      const int64_t past = first + n, block = (past - 1) / kBlock;
      if (stats != nullptr && (past == end || past % kBlock == 0))
        block_moments(out + block * kBlock * co, past - block * kBlock, co,
                      moments.data<float>() + block * 2 * co);
    });
  });
  if (stats != nullptr)
    join_moments(moments.data<float>(), rows, kBlock, co, stats->mean.data<float>(),
                 stats->variance.data<float>());
}

bool wanted(std::span<const GradOut> outs, size_t i) { return i < outs.size() && outs[i].wanted(); }

// What backward needs of the gradients: of the sources, packed weights; of the weights, sums.
struct Gradients {
  Gradients(const Tensor& up, std::span<const Tensor> weights, std::span<const GradOut> of_x,
            std::span<const GradOut> of_w)
      : dy(up), dx(of_x), dw(of_w), panels(of_x.size()) {
    const int64_t co = dy.size(3);
    for (size_t i = 0; i < std::max(dx.size(), dw.size()); ++i) {
      int64_t ci = 0;
      if (wanted(dx, i)) {
        ci = weights[i].size(0);
        through += ci;
        panels[i] = Tensor({panels_size(co, ci)});
        panels_pack(weights[i].data<float>(), 1, co, 0, co, co, ci, panels[i].data<float>());
      }
      if (wanted(dw, i)) {
        ci = dw[i].tensor->size(0);
        total += dw[i].tensor->numel();
      }
      widest = std::max(widest, ci);
    }
  }
  // Rows [first, first + n), a strip: of the weights into `sums`, which `add` or are begun.
  void strip(std::span<const Tensor> sources, bool relu, int64_t first, int64_t n, float* scratch,
             float* sums, bool add) const {
    const int64_t co = dy.size(3);
    const float* const up = dy.data<float>() + first * co;
    for (size_t i = 0; i < std::max(dx.size(), dw.size()); ++i) {
      if (wanted(dw, i)) {
        const int64_t ci = dw[i].tensor->size(0);
        const float* x = sources[i].data<float>() + first * ci;
        if (relu) relu_copy(x, scratch, n * ci), x = scratch;
        const PanelPixels pixels{x, ci, 0, up, co, 0, 1, n};
        panels_outer(pixels, ci, co, sums, co, add);
        sums += ci * co;
      }
      if (!wanted(dx, i)) continue;
      const int64_t ci = dx[i].tensor->size(3);
      const bool adds = dx[i].into == Into::add;
      const PanelRun run{up, co, co};
      float* const to = dx[i].tensor->data<float>() + first * ci;
      float* const product = relu ? scratch : to;
      panels_multiply(&run, 1, n, panels[i].data<float>(), ci, product, ci, adds && !relu);
      if (relu) relu_mask(sources[i].data<float>() + first * ci, product, to, n * ci, adds);
    }
  }

  const Tensor& dy;
  std::span<const GradOut> dx, dw;
  std::vector<Tensor> panels;
  int64_t through = 0, total = 0, widest = 0;  // channels of dx, elements of dw, channels at most
};

// One visit of dy and the sources for both gradients: each pass of its own would wait for memory.
void backward(const Tensor& dy, std::span<const Tensor> sources, std::span<const Tensor> weights,
              bool relu, std::span<const GradOut> dx, std::span<const GradOut> dw) {
  const int64_t rows = dy.shape().rows(), co = dy.size(3);
  const Gradients grads(dy, weights, dx, dw);
  const auto scratch_of = [&] { return relu ? Tensor({kStrip * grads.widest}) : Tensor(); };
  if (grads.total == 0) {
    return each_chunk(rows, grads.through * co, [&](int64_t begin, int64_t end) {
      Tensor scratch = scratch_of();
      each_strip(begin, end, [&](int64_t first, int64_t n) {
        grads.strip(sources, relu, first, n, relu ? scratch.data<float>() : nullptr, nullptr, true);
      });
    });
  }
  const PartialSums sums(rows * grads.total, rows, grads.total);
  parallel_chunks(sums.parts(), [&](int part) {
    Tensor scratch = scratch_of();
    const int64_t begin = rows * part / sums.parts(), end = rows * (part + 1) / sums.parts();
    sums.clear_if(begin == end, part);
    each_strip(begin, end, [&](int64_t first, int64_t n) {
      grads.strip(sources, relu, first, n, relu ? scratch.data<float>() : nullptr, sums.part(part),
                  first > begin);
    });
  });
  int64_t at = 0;
  for (const GradOut& out : dw) {
    if (!out.wanted()) continue;
    sums.add_up(at, *out.tensor, out.into);
    at += out.tensor->numel();
  }
}

}  // namespace

void cpu::pointwise_conv_forward(Tensor& y, std::span<const Tensor> sources,
                                 std::span<const Tensor> weights, bool relu_on_load,
                                 ChannelStats* stats) {
  check(y.dtype() == DType::f32 || y.dtype() == DType::f64, "pointwise_conv",
        "needs f32 or f64, got ", y.dtype());
  if (y.numel() == 0) return;
  if (y.dtype() == DType::f32) return forward(y, sources, weights, relu_on_load, stats);
  for (size_t i = 0; i < sources.size(); ++i) {
    plain_forward(sources[i].data<double>(), weights[i].data<double>(), y.shape().rows(),
                  sources[i].size(3), y.size(3), relu_on_load, i > 0, y.data<double>());
  }
  if (stats != nullptr) cpu::channel_stats(y, stats->mean, stats->variance);
}

void cpu::pointwise_conv_backward_data(const Tensor& dy, std::span<const Tensor> sources,
                                       std::span<const Tensor> weights, bool relu_on_load,
                                       std::span<const GradOut> dx) {
  if (dy.dtype() == DType::f32) return backward(dy, sources, weights, relu_on_load, dx, {});
  for (size_t i = 0; i < dx.size(); ++i) {
    if (!dx[i].wanted()) continue;
    plain_backward_data(relu_on_load ? sources[i].data<double>() : nullptr,
                        weights[i].data<double>(), dy.data<double>(), dy.shape().rows(),
                        weights[i].size(0), dy.size(3), dx[i].into == Into::add,
                        dx[i].tensor->data<double>());
  }
}

void cpu::pointwise_conv_backward_weight(const Tensor& dy, std::span<const Tensor> sources,
                                         bool relu_on_load, std::span<const GradOut> dw) {
  if (dy.dtype() == DType::f32) return backward(dy, sources, {}, relu_on_load, {}, dw);
  for (size_t i = 0; i < dw.size(); ++i) {
    if (!dw[i].wanted()) continue;
    plain_backward_weight(sources[i].data<double>(), dy.data<double>(), dy.shape().rows(),
                          sources[i].size(3), dy.size(3), relu_on_load, dw[i].into == Into::add,
                          dw[i].tensor->data<double>());
  }
}

void cpu::pointwise_conv_backward(const Tensor& dy, std::span<const Tensor> sources,
                                  std::span<const Tensor> weights, bool relu_on_load,
                                  std::span<const GradOut> dx, std::span<const GradOut> dw) {
  if (dy.dtype() == DType::f32) return backward(dy, sources, weights, relu_on_load, dx, dw);
  pointwise_conv_backward_weight(dy, sources, relu_on_load, dw);
  pointwise_conv_backward_data(dy, sources, weights, relu_on_load, dx);
}

}  // namespace enas
