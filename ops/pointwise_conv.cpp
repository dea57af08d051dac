#include "ops/pointwise_conv.h"

#include <algorithm>

#include "ops/conv_rows.h"
#include "tensor/dispatch.h"
#include "tensor/thread_pool.h"

namespace enas {
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

// The gradients that are wanted; false where none is.
bool slots_of(std::span<Grad> grads, std::vector<GradientSlot>& slots) {
  bool any = false;
  slots.resize(grads.size());
  for (size_t i = 0; i < grads.size(); ++i) {
    slots[i] = {};
    if (!grads[i].needed()) continue;
    slots[i].into = grads[i].into();
    slots[i].tensor = &grads[i].tensor();
    any = true;
  }
  return any;
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
  dispatch<cpu::pointwise_conv_forward>(y, x, w, relu_on_load, stats ? &result.stats : nullptr);
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
               std::vector<GradientSlot> slots;
               if (slots_of(grads.subspan(x.size()), slots))
                 dispatch<cpu::pointwise_conv_backward_weight>(dy, x, relu_on_load, slots);
               if (slots_of(grads.first(x.size()), slots))
                 dispatch<cpu::pointwise_conv_backward_data>(dy, x, w, relu_on_load, slots);
             });
  return result;
}

namespace {

template <class T>
T loaded(T v, bool relu) {
  return relu && v < T{0} ? T{0} : v;
}

// y [rows x co] (+)= f(x) [rows x ci] w
template <class T>
void plain_product(const T* x, const T* w, int64_t rows, int64_t ci, int64_t co, bool relu,
                   bool add, T* y) {
  parallel_for(rows, 1 + 4096 / (ci * co + 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      T* const out = y + r * co;
      if (!add) std::fill_n(out, co, T{0});
      for (int64_t a = 0; a < ci; ++a) {
        const T v = loaded(x[r * ci + a], relu);
        for (int64_t b = 0; b < co; ++b) out[b] += v * w[a * co + b];
      }
    }
  });
}

// dx [rows x ci] (+)= f'(x) dy w^T
template <class T>
void plain_backward_data(const T* x, const T* w, const T* dy, int64_t rows, int64_t ci, int64_t co,
                         bool add, T* dx) {
  parallel_for(rows, 1 + 4096 / (ci * co + 1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * ci; i < end * ci; ++i) {
      T sum = add ? dx[i] : T{0};
      if (x == nullptr || x[i] > T{0}) {
        const T *up = dy + i / ci * co, *row = w + i % ci * co;
        for (int64_t b = 0; b < co; ++b) sum += up[b] * row[b];
      }
      dx[i] = sum;
    }
  });
}

// dw (+)= f(x)^T dy, split over rows of dw
template <class T>
void plain_backward_weight(const T* x, const T* dy, int64_t rows, int64_t ci, int64_t co, bool relu,
                           bool add, T* dw) {
  parallel_for(ci, 1, [&](int64_t begin, int64_t end) {
    if (!add) std::fill(dw + begin * co, dw + end * co, T{0});
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t a = begin; a < end; ++a) {
        const T v = loaded(x[r * ci + a], relu);
        for (int64_t b = 0; b < co; ++b) dw[a * co + b] += v * dy[r * co + b];
      }
    }
  });
}

}  // namespace

void cpu::pointwise_conv_forward(Tensor& y, std::span<const Tensor> sources,
                                 std::span<const Tensor> weights, bool relu_on_load,
                                 ChannelStats* stats) {
  visit_real(y.dtype(), "pointwise_conv", [&](auto tag) {
    using T = decltype(tag);
    const int64_t rows = y.shape().rows(), co = y.size(3);
    for (size_t i = 0; i < sources.size(); ++i) {
      plain_product(sources[i].data<T>(), weights[i].data<T>(), rows, sources[i].size(3), co,
                    relu_on_load, i > 0, y.data<T>());
    }
    if (stats != nullptr)
      column_moments(y.data<T>(), rows, co, stats->mean.data<T>(), stats->variance.data<T>());
  });
}

void cpu::pointwise_conv_backward_data(const Tensor& dy, std::span<const Tensor> sources,
                                       std::span<const Tensor> weights, bool relu_on_load,
                                       std::span<const GradientSlot> dx) {
  visit_real(dy.dtype(), "pointwise_conv", [&](auto tag) {
    using T = decltype(tag);
    for (size_t i = 0; i < dx.size(); ++i) {
      if (dx[i].tensor == nullptr) continue;
      plain_backward_data(relu_on_load ? sources[i].data<T>() : nullptr, weights[i].data<T>(),
                          dy.data<T>(), dy.shape().rows(), weights[i].size(0), dy.size(3),
                          dx[i].into == Into::add, dx[i].tensor->data<T>());
    }
  });
}

void cpu::pointwise_conv_backward_weight(const Tensor& dy, std::span<const Tensor> sources,
                                         bool relu_on_load, std::span<const GradientSlot> dw) {
  visit_real(dy.dtype(), "pointwise_conv", [&](auto tag) {
    using T = decltype(tag);
    for (size_t i = 0; i < dw.size(); ++i) {
      if (dw[i].tensor == nullptr) continue;
      plain_backward_weight(sources[i].data<T>(), dy.data<T>(), dy.shape().rows(),
                            sources[i].size(3), dy.size(3), relu_on_load, dw[i].into == Into::add,
                            dw[i].tensor->data<T>());
    }
  });
}

}  // namespace enas
