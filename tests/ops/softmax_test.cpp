#include "ops/softmax.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/op_cases.h"

namespace enas::test {
namespace {

Reference softmax_reference(size_t columns) {
  return [columns](const std::vector<Values>& in) {
    Values y = in[0];
    for (size_t at = 0; at < y.size(); at += columns) {
      double total = 0;
      for (size_t c = 0; c < columns; ++c) total += std::exp(in[0][at + c]);
      for (size_t c = 0; c < columns; ++c) y[at + c] = std::exp(in[0][at + c]) / total;
    }
    return std::vector<Values>{y};
  };
}

OP_CASES(softmax,
         {.label = "4x10",
          .inputs = {in({4, 10}, -3, 3)},
          .op = unary(softmax),
          .reference = softmax_reference(10),
          .sum_length = 10},
         {.label = "3x33",
          .inputs = {in({3, 33}, -5, 5)},
          .op = unary(softmax),
          .reference = softmax_reference(33),
          .sum_length = 33},
         {.label = "2x3x1",
          .inputs = {in({2, 3, 1})},
          .op = unary(softmax),
          .reference = softmax_reference(1)},
         {.label = "64x1000",
          .inputs = {in({64, 1000}, -4, 4)},
          .op = unary(softmax),
          .reference = softmax_reference(1000),
          .sum_length = 1000,
          .bench = true,
          .flops = 64 * 1000 * 4,
          .bytes = 64 * 1000 * 8});

TEST(Softmax, ExtremeLogitsStayFinite) {
  const Tensor y = softmax(Tensor::from({1e4, -1e4, 1e4}, {1, 3})).value();
  EXPECT_FLOAT_EQ(static_cast<float>(y.item(0)), 0.5f);
  EXPECT_EQ(y.item(1), 0.0);
}

TEST(Softmax, NanTravels) {
  const Tensor y = softmax(Tensor::from({0, NAN, 1, 2, 3}, {1, 5})).value();
  for (int64_t i = 0; i < 5; ++i) EXPECT_TRUE(std::isnan(y.item(i)));
}

}  // namespace
}  // namespace enas::test
