#include "ops/separable_conv.h"

#include <gtest/gtest.h>

#include "ops/depthwise_conv2d.h"
#include "ops/pointwise_conv.h"
#include "tests/ops/image_reference.h"

namespace enas::test {
namespace {

constexpr double kEpsilon = 1e-3;

enum class Load { plain, relu, norm, norm_relu, running_relu };

// Inputs x, depthwise, pointwise, and with a normalisation scale, offset; running: mean, variance.
struct SepCase {
  RefImage image;
  int64_t out;
  Window2d window;
  Load load = Load::norm_relu;
  bool stats = true, bench = false;
  bool norm() const { return load >= Load::norm; }
  bool relu() const { return load != Load::plain && load != Load::norm; }
  bool running() const { return load == Load::running_relu; }
  bool large() const { return image.n * image.height * image.width * image.channels > 4000; }
};

Values loaded(const SepCase& s, const std::vector<Values>& in) {
  if (!s.norm()) return in[0];
  const RefStats stats = s.running() ? RefStats{in[5], in[6]} : ref_stats(in[0], in[3].size());
  return ref_norm(in[0], stats, in[3], in[4], kEpsilon);
}

std::vector<InputSpec> sep_inputs(const SepCase& s) {
  const RefImage& i = s.image;
  const int64_t k = s.window.kernel;
  std::vector<InputSpec> inputs = {in({i.n, i.height, i.width, i.channels}), in({k, k, i.channels}),
                                   in({i.channels, s.out})};
  if (s.norm()) {
    inputs.push_back(in({i.channels}, 0.5, 1.5));
    inputs.push_back(in({i.channels}));
  }
  if (s.running()) {
    inputs.push_back(constant({i.channels}));
    inputs.push_back(constant({i.channels}, 0.25, 1));
  }
  return inputs;
}

RawConv run_sep(const SepCase& s, const std::vector<Var>& x) {
  if (!s.norm()) return separable_conv(x[0], s.relu(), x[1], x[2], s.window, s.stats);
  Deferred d{x[0], {}, {x[3], x[4], kEpsilon, s.relu()}, StatsUse::batch};
  if (s.running()) {
    d.stats = {x[5].value(), x[6].value(), 0};
    d.use = StatsUse::running;
  } else {
    d.stats = channel_stats(x[0].value());
  }
  return separable_conv(d, x[1], x[2], s.window, s.stats);
}

OpCase sep_case(std::string label, const SepCase& s) {
  OpCase c;
  c.label = std::move(label);
  c.inputs = sep_inputs(s);
  c.op = [s](Tape&, const std::vector<Var>& x) {
    const RawConv y = run_sep(s, x);
    return s.stats && !s.bench ? with_stats(y) : std::vector<Var>{y.y};
  };
  c.reference = [s](const std::vector<Values>& in) {
    Values a = loaded(s, in);
    if (s.relu()) a = ref_relu(a);
    const Values t = ref_depthwise(a, s.image, in[1], s.window);
    const Values y = ref_pointwise(t, static_cast<size_t>(s.image.channels), in[2]);
    return s.stats && !s.bench ? ref_with_stats(y, static_cast<size_t>(s.out))
                               : std::vector<Values>{y};
  };
  if (s.relu() && !s.large()) {
    c.kink_margin = [s](const std::vector<Values>& in) { return smallest(loaded(s, in)); };
  }
  c.check = {.step = 1e-4, .relative = 1e-7, .most_elements = 40};
  if (s.large()) c.check = {.step = 1e-6, .relative = 1e-2, .most_elements = 1}, c.draws = 1;
  const RefImage& i = s.image;
  const auto pixels =
      static_cast<double>(i.n * s.window.output(i.height) * s.window.output(i.width));
  c.sum_length = i.n * i.height * i.width + s.window.kernel * s.window.kernel * i.channels;
  c.f64_relative = 1e-11;
  c.bench = s.bench;
  c.flops = 2 * pixels * static_cast<double>(i.channels) *
            static_cast<double>(s.window.kernel * s.window.kernel + s.out);
  c.bytes = 4 * (static_cast<double>(i.n * i.height * i.width * i.channels) +
                 pixels * static_cast<double>(s.out));
  return c;
}
SepCase with_stride(RefImage image, int64_t out, int64_t kernel, int64_t stride, Padding padding,
                    Load load) {
  return {image, out, {kernel, stride, padding}, load};
}
OpCase bench_case(int64_t kernel, int64_t size, int64_t channels, int64_t images = 16) {
  const std::string side = std::to_string(size);
  // Statistics come with x, as they do in a network: running ones, which cost the same.
  SepCase s{{images, size, size, channels}, channels, {kernel}, Load::running_relu};
  s.bench = true;
  return sep_case("k" + std::to_string(kernel) + "_" + std::to_string(images) + "x" + side + "x" +
                      side + "x" + std::to_string(channels),
                  s);
}

OP_CASES(
    separable_conv, sep_case("plain_2x7x5x5", {{2, 7, 5, 5}, 3, {3}, Load::plain, false}),
    sep_case("relu_2x7x5x5_k5", {{2, 7, 5, 5}, 6, {5}, Load::relu}),
    sep_case("norm_2x7x5x5", {{2, 7, 5, 5}, 5, {3}, Load::norm}),
    sep_case("2x7x5x5", {{2, 7, 5, 5}, 5, {3}}), sep_case("2x7x5x5_k5", {{2, 7, 5, 5}, 9, {5}}),
    sep_case("2x3x4x17_k5", {{2, 3, 4, 17}, 17, {5}}),
    sep_case("2x4x4x20", {{2, 4, 4, 20}, 20, {3}}),
    sep_case("running_2x7x5x5", {{2, 7, 5, 5}, 5, {3}, Load::running_relu}),
    sep_case("s2_2x7x5x5", with_stride({2, 7, 5, 5}, 4, 3, 2, Padding::same, Load::norm_relu)),
    sep_case("s2_2x8x6x5_k5", with_stride({2, 8, 6, 5}, 4, 5, 2, Padding::same, Load::norm_relu)),
    sep_case("s2_tf_2x8x7x5", with_stride({2, 8, 7, 5}, 5, 3, 2, Padding::tf_same, Load::relu)),
    sep_case("s2_tf_2x8x7x5_k5",
             with_stride({2, 8, 7, 5}, 5, 5, 2, Padding::tf_same, Load::norm_relu)),
    sep_case("tf_2x6x5x5_k5", with_stride({2, 6, 5, 5}, 5, 5, 1, Padding::tf_same, Load::relu)),
    sep_case("valid_2x6x5x5", with_stride({2, 6, 5, 5}, 5, 3, 1, Padding::valid, Load::relu)),
    sep_case("k7_1x8x8x3", with_stride({1, 8, 8, 3}, 2, 7, 1, Padding::same, Load::relu)),
    sep_case("1x2x3x300", {{1, 2, 3, 300}, 5, {3}}),
    sep_case("3x9x32x36", {{3, 9, 32, 36}, 36, {3}}),
    sep_case("3x9x12x40_k5", {{3, 9, 12, 40}, 24, {5}}),
    sep_case("s2_3x17x16x36",
             with_stride({3, 17, 16, 36}, 36, 5, 2, Padding::same, Load::norm_relu)),
    bench_case(3, 32, 20), bench_case(5, 32, 20), bench_case(3, 32, 36), bench_case(5, 32, 36),
    bench_case(3, 16, 72), bench_case(5, 16, 72), bench_case(3, 8, 144), bench_case(5, 8, 144),
    bench_case(3, 16, 40), bench_case(5, 8, 80));

// The block is what its parts are: batch_norm, depthwise_conv2d and pointwise_conv, one after
// another.
TEST(SeparableConv, EqualsItsPartsOneAfterAnother) {
  const SepCase s{{2, 6, 6, 12}, 10, {5}};
  const OpCase c = sep_case("", s);
  OpCase parts = c;
  parts.op = [s](Tape&, const std::vector<Var>& x) {
    const Var z = materialize(deferred(x[0], x[3], x[4], kEpsilon, true));
    const Var t = depthwise_conv2d(z, x[1], s.window, false);
    const RawConv y = pointwise_conv(t, x[2], false, true);
    return with_stats(y);
  };
  const std::vector<Tensor> inputs = draw_inputs(c, 0);
  const Outcome fused = run_case(c, inputs), apart = run_case(parts, inputs);
  ASSERT_EQ(fused.gradients.size(), 5u);
  const auto expect_equal = [](const Tensor& a, const Tensor& b) {
    for (int64_t i = 0; i < a.numel(); ++i) ASSERT_NEAR(a.item(i), b.item(i), 1e-10) << i;
  };
  for (size_t i = 0; i < 2; ++i) expect_equal(fused.outputs[i], apart.outputs[i]);
  for (size_t i = 0; i < 5; ++i) expect_equal(fused.gradients[i], apart.gradients[i]);
}

TEST(SeparableConv, RefusesWeightsThatDoNotFit) {
  const Tensor x = Tensor::zeros({1, 4, 4, 3}), d = Tensor::zeros({3, 3, 3});
  const Tensor p = Tensor::zeros({3, 2});
  EXPECT_NO_THROW(separable_conv(x, true, d, p, {3}, true));
  EXPECT_THROW(separable_conv(x, true, Tensor::zeros({5, 5, 3}), p, {3}, true), Error);
  EXPECT_THROW(separable_conv(x, true, d, Tensor::zeros({2, 3}), {3}, true), Error);
  EXPECT_THROW(separable_conv(Tensor::zeros({4, 4, 3}), true, d, p, {3}, true), Error);
  EXPECT_THROW(separable_conv(x, true, d, p.to(DType::f64), {3}, true), Error);
}

}  // namespace
}  // namespace enas::test
