#include "ops/depthwise_conv2d.h"

#include "ops/separable_driver.h"
#include "ops/separable_image.h"
#include "tensor/dispatch.h"

namespace enas {

Var depthwise_conv2d(const Var& x, const Var& w, const Window2d& window, bool relu_on_load) {
  constexpr const char* kOp = "depthwise_conv2d";
  check_depthwise(kOp, x.value(), w.value(), window);
  Tensor y({x.size(0), window.output(x.size(1)), window.output(x.size(2)), x.size(3)}, x.dtype(),
           x.value().device());
  dispatch<cpu::depthwise_conv2d_forward, cuda::depthwise_conv2d_forward>(x.value(), w.value(),
                                                                          window, relu_on_load, y);
  return record(kOp, {x, w}, std::move(y),
                [x = x.value(), w = w.value(), window, relu_on_load](const Tensor& dy, Grads& dx) {
                  dispatch<cpu::depthwise_conv2d_backward, cuda::depthwise_conv2d_backward>(
                      x, w, window, relu_on_load, dy, grad_out(dx[0]), grad_out(dx[1]));
                });
}

namespace {

template <class T>
NormLoops<T> relu_only(bool relu, int64_t channels) {
  ChannelAffine<T> load;
  load.relu = relu;
  return {load, channels};
}

template <class Image, class T>
void forward(const ImageWindow& g, const T* x, const T* w, bool relu, T* y) {
  const NormLoops<T> load = relu_only<T>(relu, g.channels);
  const typename Image::Weights weights(g, w, nullptr, 0, load, false);
  for_each_group_of_images<Image>(g, weights, groups_of_images(g),
                                  [&](size_t, Image& image, int64_t first, int64_t last) {
                                    for (int64_t n = first; n < last; ++n) {
                                      image.activate(x + n * g.size());
                                      image.depthwise(y + n * g.out_size());
                                    }
                                  });
}

template <class Image, class T>
void backward(const ImageWindow& g, const T* x, const T* w, bool relu, const T* dy,
              const GradOut& dx, const GradOut& dw) {
  const NormLoops<T> load = relu_only<T>(relu, g.channels);
  const typename Image::Weights weights(g, w, nullptr, 0, load, true);
  const int groups = groups_of_images(g);
  std::vector<std::vector<T>> parts(static_cast<size_t>(groups));
  for_each_group_of_images<Image>(
      g, weights, groups, [&](size_t group, Image& image, int64_t first, int64_t last) {
        std::vector<T> sums(load.sums_size());  // not used
        for (int64_t n = first; n < last; ++n) {
          image.set_output_gradient(dy + n * g.out_size());
          if (dw.wanted()) {
            image.activate(x + n * g.size());
            image.weight_gradient();
          }
          if (!dx.wanted()) continue;
          image.data_gradient(x + n * g.size(), dx.tensor->data<T>() + n * g.size(),
                              dx.into == Into::add, sums.data());
        }
        parts[group] = image.take_weight_gradient();
      });
  join_parts(parts, dw);
}

}  // namespace

void cpu::depthwise_conv2d_forward(const Tensor& x, const Tensor& w, const Window2d& window,
                                   bool relu, Tensor& y) {
  const ImageWindow g = image_window(x.shape(), window);
  visit_real(x.dtype(), "depthwise_conv2d", [&](auto tag) {
    using T = decltype(tag);
    if constexpr (sizeof(T) == 4) {
      if (FastImage::serves(g)) {
        return forward<FastImage>(g, x.data<T>(), w.data<T>(), relu, y.data<T>());
      }
    }
    forward<PlainImage<T>>(g, x.data<T>(), w.data<T>(), relu, y.data<T>());
  });
}

void cpu::depthwise_conv2d_backward(const Tensor& x, const Tensor& w, const Window2d& window,
                                    bool relu, const Tensor& dy, const GradOut& dx,
                                    const GradOut& dw) {
  const ImageWindow g = image_window(x.shape(), window);
  visit_real(x.dtype(), "depthwise_conv2d", [&](auto tag) {
    using T = decltype(tag);
    if constexpr (sizeof(T) == 4) {
      if (FastImage::serves(g)) {
        return backward<FastImage>(g, x.data<T>(), w.data<T>(), relu, dy.data<T>(), dx, dw);
      }
    }
    backward<PlainImage<T>>(g, x.data<T>(), w.data<T>(), relu, dy.data<T>(), dx, dw);
  });
}

}  // namespace enas
