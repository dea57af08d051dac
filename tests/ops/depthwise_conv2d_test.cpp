#include "ops/depthwise_conv2d.h"

#include <gtest/gtest.h>

#include "tests/ops/image_reference.h"

namespace enas::test {
namespace {

OpCase depthwise_case(std::string label, const RefImage& image, const Window2d& window, bool relu) {
  OpCase c;
  c.label = std::move(label);
  const int64_t k = window.kernel;
  c.inputs = {in({image.n, image.height, image.width, image.channels}), in({k, k, image.channels})};
  c.op = [=](Tape&, const std::vector<Var>& x) {
    return std::vector<Var>{depthwise_conv2d(x[0], x[1], window, relu)};
  };
  c.reference = [=](const std::vector<Values>& in) {
    return std::vector<Values>{ref_depthwise(relu ? ref_relu(in[0]) : in[0], image, in[1], window)};
  };
  const double elements =
      static_cast<double>(image.n * image.height * image.width * image.channels);
  const bool large = elements > 4000;
  if (relu && !large) {
    c.kink_margin = [](const std::vector<Values>& in) { return smallest(in[0]); };
  }
  c.check = {.step = 1e-4};
  if (large) c.check = {.step = 1e-6, .relative = 1e-2, .most_elements = 1}, c.draws = 1;
  c.sum_length = image.n * window.output(image.height) * window.output(image.width);
  const double outputs = static_cast<double>(c.sum_length * image.channels);
  c.flops = 2 * outputs * static_cast<double>(k * k);
  c.bytes = 4 * (elements + outputs);
  return c;
}
OpCase bench_case(int64_t kernel, int64_t size, int64_t channels) {
  const std::string side = std::to_string(size);
  OpCase c = depthwise_case(
      "k" + std::to_string(kernel) + "_16x" + side + "x" + side + "x" + std::to_string(channels),
      {16, size, size, channels}, {kernel}, false);
  c.bench = true;
  return c;
}

OP_CASES(depthwise_conv2d, depthwise_case("2x7x5x5", {2, 7, 5, 5}, {3}, false),
         depthwise_case("relu_2x7x5x5_k5", {2, 7, 5, 5}, {5}, true),
         depthwise_case("relu_2x3x4x17", {2, 3, 4, 17}, {3}, true),
         depthwise_case("1x1x1x3_k5", {1, 1, 1, 3}, {5}, false),
         depthwise_case("s2_2x7x5x5", {2, 7, 5, 5}, {3, 2}, true),
         depthwise_case("s2_2x8x6x5_k5", {2, 8, 6, 5}, {5, 2}, true),
         depthwise_case("s2_tf_2x8x7x5", {2, 8, 7, 5}, {3, 2, Padding::tf_same}, true),
         depthwise_case("s2_tf_2x7x8x5_k5", {2, 7, 8, 5}, {5, 2, Padding::tf_same}, false),
         depthwise_case("s2_valid_2x8x7x5", {2, 8, 7, 5}, {3, 2, Padding::valid}, false),
         depthwise_case("valid_2x7x6x5_k5", {2, 7, 6, 5}, {5, 1, Padding::valid}, false),
         depthwise_case("s3_1x9x8x4", {1, 9, 8, 4}, {3, 3}, false),
         depthwise_case("k7_1x8x7x3", {1, 8, 7, 3}, {7}, true),
         depthwise_case("1x3x2x300", {1, 3, 2, 300}, {3}, true),
         depthwise_case("3x9x32x36", {3, 9, 32, 36}, {5}, true),
         depthwise_case("s2_3x17x16x36", {3, 17, 16, 36}, {5, 2}, true), bench_case(3, 32, 20),
         bench_case(5, 32, 20), bench_case(3, 32, 36), bench_case(5, 32, 36), bench_case(3, 16, 72),
         bench_case(5, 16, 72), bench_case(3, 8, 144), bench_case(5, 8, 144));

TEST(DepthwiseConv2d, RefusesWeightsThatDoNotFit) {
  const Tensor x = Tensor::zeros({1, 4, 4, 3});
  EXPECT_NO_THROW(depthwise_conv2d(x, Tensor::zeros({3, 3, 3}), {3}, false));
  EXPECT_THROW(depthwise_conv2d(x, Tensor::zeros({3, 3, 2}), {3}, false), Error);
  EXPECT_THROW(depthwise_conv2d(x, Tensor::zeros({3, 3, 3}), {5}, false), Error);
  EXPECT_THROW(depthwise_conv2d(Tensor::zeros({4, 3}), Tensor::zeros({3, 3, 3}), {3}, false),
               Error);
}

}  // namespace
}  // namespace enas::test
