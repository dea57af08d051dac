// Launchers of ops/depthwise_conv2d.h; the kernels are in cuda/depthwise.cuh.
#include "ops/depthwise_conv2d.h"

#include "cuda/depthwise.cuh"

namespace enas::cuda {

void depthwise_conv2d_forward(const Tensor& x, const Tensor& w, const Window2d& window, bool relu,
                              Tensor& y) {
  visit_real(x.dtype(), "depthwise_conv2d", [&](auto tag) {
    using T = decltype(tag);
    const LoadRule<T> rule{nullptr, static_cast<int>(x.size(3)), relu};
    launch_depthwise<T>("depthwise_conv2d", image_window(x.shape(), window), rule, x.data<T>(),
                        w.data<T>(), y.data<T>());
  });
}

void depthwise_conv2d_backward(const Tensor& x, const Tensor& w, const Window2d& window, bool relu,
                               const Tensor& dy, const GradOut& dx, const GradOut& dw) {
  const ImageWindow g = image_window(x.shape(), window);
  visit_real(x.dtype(), "depthwise_conv2d", [&](auto tag) {
    using T = decltype(tag);
    const LoadRule<T> rule{nullptr, static_cast<int>(g.channels), relu};
    launch_depthwise_weights<T>("depthwise_conv2d", g, rule, x.data<T>(), dy.data<T>(), dw);
    if (!dx.wanted()) return;
    launch_depthwise_data<T>("depthwise_conv2d", g, rule,
                             ChannelCut(g.images * g.height * g.width, g.channels), x.data<T>(),
                             w.data<T>(), dy.data<T>(), Out<T>(dx), nullptr);
  });
}

}  // namespace enas::cuda
