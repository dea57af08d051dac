#include "ops/drop_path.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/op_cases.h"

namespace enas::test {
namespace {

OpCase row(const char* label, const Shape& x) {
  return bounded(F32Bound::element, {.label = label,
                                     .inputs = {in(x), constant({x[0]}, 0, 2)},
                                     .op =
                                         [](Tape&, const std::vector<Var>& v) {
                                           return std::vector<Var>{drop_path(v[0], v[1].value())};
                                         },
                                     .reference =
                                         [](const std::vector<Values>& in) {
                                           Values y = in[0];
                                           const size_t columns = y.size() / in[1].size();
                                           for (size_t i = 0; i < y.size(); ++i)
                                             y[i] *= in[1][i / columns];
                                           return std::vector<Values>{y};
                                         },
                                     .bytes = static_cast<double>(x.numel()) * 8});
}
OP_CASES(drop_path, row("3x7x5x5", {3, 7, 5, 5}), row("1x1x1x17", {1, 1, 1, 17}), row("5", {5}),
         row("4x33", {4, 33}), [] {
           OpCase c = row("64x32x32x20", {64, 32, 32, 20});
           c.bench = true, c.draws = 1, c.check.most_elements = 3;
           return c;
         }());

// The dummy input gives dtype and device.
OP_CASES(drop_path_keep, {.label = "33",
                          .inputs = {constant({1})},
                          .op =
                              [](Tape&, const std::vector<Var>& v) {
                                const Random random{5, Stream::test, 9};
                                return std::vector<Var>{drop_path_keep(
                                    33, 0.6, random, v[0].dtype(), v[0].value().device())};
                              },
                          .reference =
                              [](const std::vector<Values>&) {
                                const Random random{5, Stream::test, 9};
                                Values keep;
                                for (uint64_t i = 0; i < 33; ++i) {
                                  const double u = static_cast<double>(random.uniform(i));
                                  keep.push_back(u >= 1 - 0.6 ? 1 / 0.6 : 0);
                                }
                                return std::vector<Values>{keep};
                              },
                          .gradient = false});

TEST(DropPathKeep, KeepsTheMeanAndTheBounds) {
  double total = 0;
  for (const double k : drop_path_keep(100000, 0.6, Random{}).to_vector()) total += k;
  EXPECT_NEAR(total / 1e5, 1, 0.02);
  EXPECT_EQ(drop_path_keep(4, 1, Random{}).to_vector(), Values(4, 1.0));
  for (const double keep : {0.0, -1.0, 1.5, std::nan("")}) {
    EXPECT_THROW(drop_path_keep(2, keep, Random{}), Error);
  }
}

TEST(DropPath, ShapesAreChecked) {
  EXPECT_THROW(drop_path(Tensor::zeros({2, 3}), Tensor::zeros({3})), Error);
  EXPECT_THROW(drop_path(Tensor::zeros({2, 3}), Tensor::zeros({2, 1})), Error);
  EXPECT_THROW(drop_path(Tensor::zeros({2, 3}), Tensor::zeros({2}, DType::f64)), Error);
  EXPECT_EQ(drop_path(Tensor::zeros({0, 3}), Tensor::zeros({0})).numel(), 0);
}

}  // namespace
}  // namespace enas::test
