#include "ops/separable_conv.h"

#include "ops/separable_driver.h"
#include "ops/separable_image.h"
#include "tensor/dispatch.h"

namespace enas {
namespace {

constexpr const char* kOp = "separable_conv";

RawConv apply(const Var& x, const SeparableValues& v, std::span<const Input> inputs, bool stats) {
  check_depthwise(kOp, x.value(), v.depthwise, v.window);
  check(v.pointwise.rank() == 2 && v.pointwise.size(0) == x.size(3) && v.pointwise.size(1) > 0 &&
            v.pointwise.dtype() == x.dtype() && v.pointwise.device() == x.value().device(),
        kOp, "needs pointwise weights [", x.size(3), ", Cout] of ", x.dtype(), ", got ",
        v.pointwise.dtype(), " ", v.pointwise.shape());
  const int64_t out = v.pointwise.size(1);
  const Device device = x.value().device();
  Tensor y({x.size(0), v.window.output(x.size(1)), v.window.output(x.size(2)), out}, x.dtype(),
           device);
  RawConv result;
  if (stats) {
    result.stats = {Tensor({out}, x.dtype(), device), Tensor({out}, x.dtype(), device),
                    y.numel() / out};
  }
  dispatch<cpu::separable_conv_forward, cuda::separable_conv_forward>(x.value(), v, y,
                                                                      result.stats);
  result.y = record(kOp, inputs, std::move(y), [x = x.value(), v](const Tensor& dy, Grads& dx) {
    const bool norm = v.norm.mean.defined();
    dispatch<cpu::separable_conv_backward, cuda::separable_conv_backward>(
        x, v, dy,
        SeparableGrads{grad_out(dx[0]), grad_out(dx[1]), grad_out(dx[2]),
                       norm ? grad_out(dx[3]) : GradOut{}, norm ? grad_out(dx[4]) : GradOut{}});
  });
  return result;
}

}  // namespace

RawConv separable_conv(const Var& x, bool relu_on_load, const Var& depthwise, const Var& pointwise,
                       const Window2d& window, bool stats) {
  SeparableValues v{{}, depthwise.value(), pointwise.value(), window};
  v.norm.relu = relu_on_load;
  const Input inputs[] = {x, depthwise, pointwise};
  return apply(x, v, inputs, stats);
}

RawConv separable_conv(const Deferred& x, const Var& depthwise, const Var& pointwise,
                       const Window2d& window, bool stats) {
  check(x.raw.rank() == 4, kOp, "needs images [N, H, W, C], got ", x.raw.shape());
  const SeparableValues v{norm_values(kOp, x.raw.value(), x.stats, x.n, x.use), depthwise.value(),
                          pointwise.value(), window};
  const Input inputs[] = {x.raw, depthwise, pointwise, x.n.scale, x.n.offset};
  return apply(x.raw, v, inputs, stats);
}

namespace {

template <class Image, class T>
void forward(const Tensor& x, const SeparableValues& v, Tensor& y, ChannelStats& stats) {
  const ImageWindow g = image_window(x.shape(), v.window);
  const NormLoops<T> load((ChannelAffine<T>(v.norm)), g.channels);
  const int64_t out = v.pointwise.size(1), image_out = g.out_pixels() * out;
  const typename Image::Weights weights(g, v.depthwise.data<T>(), v.pointwise.data<T>(), out, load,
                                        false);
  const T* in = x.data<T>();
  T* to = y.data<T>();
  const bool wanted = stats.mean.defined();
  std::vector<T> moments(static_cast<size_t>(wanted ? 2 * out * g.images : 0));
  for_each_group_of_images<Image>(
      g, weights, groups_of_images(g), [&](size_t, Image& image, int64_t first, int64_t last) {
        for (int64_t n = first; n < last; ++n) {
          image.activate(in + n * g.size());
          image.separable(to + n * image_out, wanted ? moments.data() + n * 2 * out : nullptr);
        }
      });
  if (wanted) {
    join_moments(moments.data(), g.images * g.out_pixels(), g.out_pixels(), out,
                 stats.mean.data<T>(), stats.variance.data<T>());
  }
}

// The parts of each group of images.
template <class T>
struct Parts {
  explicit Parts(size_t groups) : depthwise(groups), pointwise(groups), sums(groups) {}
  std::vector<std::vector<T>> depthwise, pointwise, sums;
};

// Where dz is left: in dx itself, or beside it where dx has a value already that the second visit
// must add to.
template <class T>
Tensor place_of_dz(const Tensor& x, const SeparableValues& v, const SeparableGrads& grads) {
  const bool second = v.norm.mean.defined();
  if (grads.dx.wanted() && !(second && grads.dx.into == Into::add)) return *grads.dx.tensor;
  return grads.dx.wanted() || second ? empty_like(x) : Tensor();
}

// The second visit, when the sums over the batch are known.
template <class T>
void finish(const Tensor& x, const SeparableValues& v, const NormLoops<T>& load,
            const Parts<T>& parts, const Tensor& dz, const SeparableGrads& grads) {
  const int64_t channels = x.size(3), rows = x.numel() / channels;
  NormValues passed = v.norm;  // the mask is in dz already
  passed.relu = false;
  const NormLoops<T> loops((ChannelAffine<T>(passed)), channels);
  NormSums<T> sums(channels);
  for (const std::vector<T>& part : parts.sums) loops.join(part.data(), sums);
  sums.put_parameters({{}, grads.dscale, grads.doffset});
  if (!grads.dx.wanted()) return;
  const NormBackward<T> rule(load.affine(), sums, v.norm.batch, rows);
  const auto back = loops.backward(rule);
  const T *in = x.data<T>(), *up = dz.data<T>();
  T* down = grads.dx.tensor->data<T>();
  parallel_for(rows, 16384 / channels, [&](int64_t begin, int64_t end) {
    const int64_t at = begin * channels;
    back(in + at, up + at, T(1), down + at, grads.dx.into == Into::add, end - begin);
  });
}

template <class Image, class T>
void backward(const Tensor& x, const SeparableValues& v, const Tensor& dy,
              const SeparableGrads& grads) {
  const ImageWindow g = image_window(x.shape(), v.window);
  const NormLoops<T> load((ChannelAffine<T>(v.norm)), g.channels);
  const int64_t out = v.pointwise.size(1), image_out = g.out_pixels() * out;
  const typename Image::Weights weights(g, v.depthwise.data<T>(), v.pointwise.data<T>(), out, load,
                                        true);
  const int groups = groups_of_images(g);
  Parts<T> parts(static_cast<size_t>(groups));
  Tensor dz = place_of_dz<T>(x, v, grads);
  const bool norm = load.affine().affine, add = !norm && grads.dx.into == Into::add;
  const T *in = x.data<T>(), *up = dy.data<T>();
  T* down = dz.defined() ? dz.data<T>() : nullptr;
  for_each_group_of_images<Image>(
      g, weights, groups, [&](size_t group, Image& image, int64_t first, int64_t last) {
        const bool dp = grads.dpointwise.wanted(), dd = grads.ddepthwise.wanted();
        parts.sums[group].assign(load.sums_size(), T(0));
        for (int64_t n = first; n < last; ++n) {
          if (dp || dd) image.activate(in + n * g.size());
          image.set_separable_gradient(up + n * image_out, dp);
          if (dd) image.weight_gradient();
          if (down == nullptr) continue;
          image.data_gradient(in + n * g.size(), down + n * g.size(), add,
                              parts.sums[group].data());
        }
        parts.depthwise[group] = image.take_weight_gradient();
        parts.pointwise[group] = image.take_pointwise_gradient();
      });
  join_parts(parts.pointwise, grads.dpointwise);
  join_parts(parts.depthwise, grads.ddepthwise);
  if (norm) finish(x, v, load, parts, dz, grads);
}

}  // namespace

void cpu::separable_conv_forward(const Tensor& x, const SeparableValues& v, Tensor& y,
                                 ChannelStats& stats) {
  visit_real(x.dtype(), kOp, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (sizeof(T) == 4) {
      if (FastImage::serves(image_window(x.shape(), v.window))) {
        return forward<FastImage, T>(x, v, y, stats);
      }
    }
    forward<PlainImage<T>, T>(x, v, y, stats);
  });
}

void cpu::separable_conv_backward(const Tensor& x, const SeparableValues& v, const Tensor& dy,
                                  const SeparableGrads& grads) {
  visit_real(x.dtype(), kOp, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (sizeof(T) == 4) {
      if (FastImage::serves(image_window(x.shape(), v.window))) {
        return backward<FastImage, T>(x, v, dy, grads);
      }
    }
    backward<PlainImage<T>, T>(x, v, dy, grads);
  });
}

}  // namespace enas
