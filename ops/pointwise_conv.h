// 1x1 convolution over a list of sources, each with a weight block of its own: what a 1x1 over
// their concatenation computes, without the concatenation.
//   y = sum_i f(s_i) W_i,  f = relu or nothing      ds_i = f'(s_i) dy W_i^T      dW_i = f(s_i)^T dy
// Source: docs/method.md sections 2.1 and 3.2.
#pragma once
#include <span>
#include <vector>

#include "autograd/tape.h"
#include "ops/channel_stats.h"
#include "ops/grad_out.h"

namespace enas {

// sources [N, H, W, C_i] each, weights [C_i, Cout] each -> y [N, H, W, Cout], and with `stats` the
// statistics of y's channels. A source or weight may repeat. f32 or f64.
RawConv pointwise_conv(std::span<const Var> sources, std::span<const Var> weights,
                       bool relu_on_load, bool stats);
inline RawConv pointwise_conv(const Var& source, const Var& weight, bool relu_on_load, bool stats) {
  return pointwise_conv({&source, 1}, {&weight, 1}, relu_on_load, stats);
}

namespace cpu {
// stats: not null where wanted; its tensors [Cout] exist and are filled.
void pointwise_conv_forward(Tensor& y, std::span<const Tensor> sources,
                            std::span<const Tensor> weights, bool relu_on_load,
                            ChannelStats* stats);
// One gradient a source. Sources are read only with relu_on_load, and may be undefined without.
void pointwise_conv_backward_data(const Tensor& dy, std::span<const Tensor> sources,
                                  std::span<const Tensor> weights, bool relu_on_load,
                                  std::span<const GradOut> dx);
void pointwise_conv_backward_weight(const Tensor& dy, std::span<const Tensor> sources,
                                    bool relu_on_load, std::span<const GradOut> dw);
// Both in one visit of dy and the sources.
void pointwise_conv_backward(const Tensor& dy, std::span<const Tensor> sources,
                             std::span<const Tensor> weights, bool relu_on_load,
                             std::span<const GradOut> dx, std::span<const GradOut> dw);
}  // namespace cpu
namespace cuda {
void pointwise_conv_forward(Tensor& y, std::span<const Tensor> sources,
                            std::span<const Tensor> weights, bool relu_on_load,
                            ChannelStats* stats);
void pointwise_conv_backward_data(const Tensor& dy, std::span<const Tensor> sources,
                                  std::span<const Tensor> weights, bool relu_on_load,
                                  std::span<const GradOut> dx);
void pointwise_conv_backward_weight(const Tensor& dy, std::span<const Tensor> sources,
                                    bool relu_on_load, std::span<const GradOut> dw);
void pointwise_conv_backward(const Tensor& dy, std::span<const Tensor> sources,
                             std::span<const Tensor> weights, bool relu_on_load,
                             std::span<const GradOut> dx, std::span<const GradOut> dw);
}  // namespace cuda

}  // namespace enas
