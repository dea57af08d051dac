#include "ops/dropout.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/op_cases.h"

namespace enas::test {
namespace {

// `factor(i, in)` is the index of element i's mask value.
OpCase row(const char* label, const Shape& x, const Shape& mask,
           const std::function<size_t(size_t)>& where) {
  return bounded(F32Bound::element, {.label = label,
                                     .inputs = {in(x), constant(mask, 0, 2)},
                                     .op =
                                         [](Tape&, const std::vector<Var>& v) {
                                           return std::vector<Var>{dropout(v[0], v[1].value())};
                                         },
                                     .reference =
                                         [where](const std::vector<Values>& in) {
                                           Values y = in[0];
                                           for (size_t i = 0; i < y.size(); ++i)
                                             y[i] *= in[1][where(i)];
                                           return std::vector<Values>{y};
                                         }});
}
OP_CASES(dropout, row("1", {1}, {1}, [](size_t i) { return i; }),
         row("3x33_full", {3, 33}, {3, 33}, [](size_t i) { return i; }),
         row("6x5_repeated_2x5", {6, 5}, {2, 5}, [](size_t i) { return i % 10; }),
         row("3x2x5_repeated_2x5", {3, 2, 5}, {2, 5}, [](size_t i) { return i % 10; }),
         row("6x5_rows_6", {6, 5}, {6}, [](size_t i) { return i / 5; }),
         row("6x5_rows_6x1", {6, 5}, {6, 1}, [](size_t i) { return i / 5; }),
         row("3x2x5_rows_6", {3, 2, 5}, {6}, [](size_t i) { return i / 5; }), [] {
           OpCase c = row("1120x200_repeated_32x200", {1120, 200}, {32, 200},
                          [](size_t i) { return i % 6400; });
           c.draws = 1, c.check.most_elements = 3, c.bench = true;
           c.flops = 1120 * 200, c.bytes = 1120 * 200 * 8;
           return c;
         }());

TEST(DropoutMask, ElementsFollowTheDraws) {
  const Random random{5, Stream::output_dropout, 9};
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor mask = dropout_mask({7, 33}, 0.25, random, dtype);
    ASSERT_EQ(mask.dtype(), dtype);
    int64_t kept = 0;
    for (int64_t i = 0; i < mask.numel(); ++i) {
      const bool keep = random.uniform(static_cast<uint64_t>(i)) >= 0.25f;
      EXPECT_NEAR(mask.item(i), keep ? 1 / 0.75 : 0, 1e-6);
      kept += keep;
    }
    EXPECT_GT(kept, 120);
    EXPECT_LT(kept, mask.numel());
  }
}

TEST(DropoutMask, KeepsTheMean) {
  const Tensor mask = dropout_mask({200, 500}, 0.75, Random{3, Stream::test, 0});
  double total = 0;
  for (const double m : mask.to_vector()) total += m;
  EXPECT_NEAR(total / 1e5, 1, 0.03);
}

TEST(DropoutMask, RateZeroIsOnes) {
  EXPECT_EQ(dropout_mask({3, 5}, 0, Random{}).to_vector(), Values(15, 1.0));
}

TEST(DropoutMask, RatesAreChecked) {
  for (const double rate : {-0.1, 1.0, 2.0, std::nan("")}) {
    try {
      dropout_mask({2}, rate, Random{});
      FAIL() << "rate " << rate << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
    }
  }
}

// A row's value goes before a repeated row where both would fit.
TEST(Dropout, RankOneMeansRows) {
  const Tensor y = dropout(Tensor::full({2, 2}, 1), Tensor::from({3, 5}, {2})).value();
  EXPECT_EQ(y.to_vector(), (Values{3, 3, 5, 5}));
}

TEST(Dropout, NanTravels) {
  const Tensor x = Tensor::from({1, NAN, 2, NAN}, {2, 2});
  EXPECT_TRUE(std::isnan(dropout(x, Tensor::full({2, 2}, 2)).value().item(1)));
  EXPECT_TRUE(std::isnan(dropout(x, Tensor::full({2}, 2)).value().item(3)));
}

TEST(Dropout, EmptyTensors) {
  EXPECT_EQ(dropout_mask({0, 4}, 0.5, Random{}).numel(), 0);
  EXPECT_EQ(dropout(Tensor({0, 4}), Tensor({0, 4})).numel(), 0);
  EXPECT_EQ(dropout(Tensor({0, 4}), Tensor({0})).numel(), 0);
  EXPECT_EQ(dropout(Tensor({0, 4}), Tensor::full({2, 4}, 1)).numel(), 0);
}

TEST(Dropout, MasksAreChecked) {
  const Tensor x = Tensor::zeros({6, 4});
  EXPECT_THROW(dropout(x, Tensor::zeros({4, 4})), Error);
  EXPECT_THROW(dropout(x, Tensor::zeros({4})), Error);
  EXPECT_THROW(dropout(x, Tensor::zeros({0, 4})), Error);
  EXPECT_THROW(dropout(x, Tensor::zeros({2, 3})), Error);
  EXPECT_THROW(dropout(x, Tensor::zeros({6, 4}, DType::f64)), Error);
}

}  // namespace
}  // namespace enas::test
