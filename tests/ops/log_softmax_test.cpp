#include "ops/log_softmax.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/op_cases.h"

namespace enas::test {
namespace {

OpCase row(const char* label, const InputSpec& input) {
  const int64_t columns = input.shape[-1];
  return {.label = label,
          .inputs = {input},
          .op = unary(log_softmax),
          .reference =
              [columns](const std::vector<Values>& in) {
                Values y = in[0];
                for (size_t i = 0; i < y.size(); i += static_cast<size_t>(columns)) {
                  double total = 0;
                  for (size_t c = i; c < i + static_cast<size_t>(columns); ++c) {
                    total += std::exp(in[0][c]);
                  }
                  for (size_t c = i; c < i + static_cast<size_t>(columns); ++c) {
                    y[c] = in[0][c] - std::log(total);
                  }
                }
                return std::vector<Values>{y};
              },
          .sum_length = columns};
}
OP_CASES(log_softmax, row("7", in({7})), row("4x10", in({4, 10}, -3, 3)),
         row("3x33", in({3, 33}, -5, 5)), row("2x3x2", in({2, 3, 2})), [] {
           OpCase c = row("64x1000", in({64, 1000}, -4, 4));
           c.draws = 1, c.check.most_elements = 3, c.bench = true;
           c.flops = 64 * 1000 * 4, c.bytes = 64 * 1000 * 8;
           return c;
         }());

TEST(LogSoftmax, ExtremeLogitsStayFinite) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor y = log_softmax(Tensor::from({1e4, -1e4, 1e4}, {1, 3}, dtype)).value();
    EXPECT_NEAR(y.item(0), -std::log(2.0), 1e-6);
    EXPECT_NEAR(y.item(1), -2e4 - std::log(2.0), 1e-2);
  }
}

TEST(LogSoftmax, MinusInfinityStays) {
  const Tensor y = log_softmax(Tensor::from({0, -INFINITY, 0}, {1, 3})).value();
  EXPECT_EQ(y.item(1), -INFINITY);
  EXPECT_NEAR(y.item(2), -std::log(2.0), 1e-6);
}

TEST(LogSoftmax, NanTravels) {
  const Tensor y = log_softmax(Tensor::from({0, NAN, 1, 2, 3}, {1, 5})).value();
  for (int64_t i = 0; i < 5; ++i) EXPECT_TRUE(std::isnan(y.item(i)));
}

TEST(LogSoftmax, EmptyAndScalars) {
  EXPECT_EQ(log_softmax(Tensor({0, 4})).numel(), 0);
  EXPECT_EQ(log_softmax(Tensor({4, 0})).numel(), 0);
  EXPECT_THROW(log_softmax(Tensor::zeros({})), Error);
  EXPECT_THROW(log_softmax(Tensor::zeros({3}, DType::i32)), Error);
}

}  // namespace
}  // namespace enas::test
