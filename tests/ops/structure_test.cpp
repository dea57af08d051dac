#include "ops/structure.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/pointwise.h"
#include "tests/op_cases.h"

namespace enas::test {
namespace {

// The named cases' op, from the list of inputs.
template <class F>
OpFunction one(F f) {
  return [f](Tape&, const std::vector<Var>& x) { return std::vector<Var>{f(x)}; };
}
Reference same_values() {
  return [](const std::vector<Values>& in) { return std::vector<Values>{in[0]}; };
}

OP_CASES(reshape,
         {.label = "6x4_to_3x8",
          .inputs = {in({6, 4})},
          .op = one([](const auto& x) {
            return reshape(x[0], {3, 8});
          }),
          .reference = same_values()},
         {.label = "1_to_scalar",
          .inputs = {in({1})},
          .op = one([](const auto& x) { return reshape(x[0], {}); }),
          .reference = same_values()},
         // One value read through two shapes: the second gradient is added.
         {.label = "twice",
          .inputs = {in({2, 3})},
          .op =
              [](Tape&, const std::vector<Var>& x) {
                return std::vector<Var>{reshape(x[0], {6}), reshape(x[0], {3, 2})};
              },
          .reference =
              [](const std::vector<Values>& in) {
                return std::vector<Values>{in[0], in[0]};
              }},
         {.label = "1120x200",
          .inputs = {in({1120, 200})},
          .op = one([](const auto& x) { return reshape(x[0], {224000}); }),
          .reference = same_values(),
          .check = {.most_elements = 3},
          .draws = 1,
          .bench = true,
          .bytes = 0});

OpCase slice_row(const char* label, const Shape& shape, int64_t begin, int64_t end) {
  const auto width = static_cast<size_t>(shape.numel() / shape[0]);
  const auto first = static_cast<size_t>(begin) * width, last = static_cast<size_t>(end) * width;
  return {.label = label,
          .inputs = {in(shape)},
          .op = one([=](const auto& x) { return slice_rows(x[0], begin, end); }),
          .reference = [=](const std::vector<Values>& in) {
            Values y;
            for (size_t i = first; i < last; ++i) y.push_back(in[0][i]);
            return std::vector<Values>{y};
          }};
}
OP_CASES(slice_rows, slice_row("1x1", {1, 1}, 0, 1), slice_row("5x3_middle", {5, 3}, 1, 4),
         slice_row("7x2x3_tail", {7, 2, 3}, 6, 7),
         // Overlapping slices: the second adds to what the first wrote.
         {.label = "overlapping",
          .inputs = {in({4, 3})},
          .op =
              [](Tape&, const std::vector<Var>& x) {
                return std::vector<Var>{slice_rows(x[0], 0, 3), slice_rows(x[0], 2, 4)};
              },
          .reference =
              [](const std::vector<Values>& in) {
                const auto at = in[0].begin();
                return std::vector<Values>{Values(at, at + 9), Values(at + 6, at + 12)};
              }},
         [] {
           OpCase c = slice_row("1120x200", {1120, 200}, 32, 64);
           c.draws = 1, c.check.most_elements = 3, c.bench = true, c.bytes = 0;
           return c;
         }());

OpCase concat_row(const char* label, const std::vector<InputSpec>& inputs) {
  return {.label = label,
          .inputs = inputs,
          .op = one([](const auto& x) { return concat_rows(x); }),
          .reference = [](const std::vector<Values>& in) {
            Values y;
            for (const Values& x : in) y.insert(y.end(), x.begin(), x.end());
            return std::vector<Values>{y};
          }};
}
OP_CASES(concat_rows, concat_row("1", {in({1, 1})}),
         concat_row("2x3_1x3_4x3", {in({2, 3}), in({1, 3}), in({4, 3})}),
         concat_row("with_constant", {in({2, 5}), constant({3, 5}), in({1, 5})}),
         {.label = "one_part_twice",
          .inputs = {in({2, 3})},
          .op = one([](const auto& x) {
            return concat_rows({x[0], x[0]});
          }),
          .reference =
              [](const std::vector<Values>& in) {
                Values y = in[0];
                y.insert(y.end(), in[0].begin(), in[0].end());
                return std::vector<Values>{y};
              }},
         [] {
           OpCase c = concat_row("35x32x200", std::vector<InputSpec>(35, in({32, 200})));
           c.draws = 1, c.check.most_elements = 1, c.bench = true, c.bytes = 35 * 32 * 200 * 8;
           return c;
         }());

OpCase gather_row(const char* label, const Shape& shape, int64_t count) {
  const auto width = static_cast<size_t>(shape.numel() / shape[0]);
  return bounded(F32Bound::sums,
                 {.label = label,
                  .inputs = {in(shape), indices({count}, shape[0])},
                  .op = one([](const auto& x) { return gather_rows(x[0], x[1].value()); }),
                  .reference =
                      [width](const std::vector<Values>& in) {
                        Values y;
                        for (const double index : in[1]) {
                          const auto row = static_cast<size_t>(index) * width;
                          for (size_t c = 0; c < width; ++c) y.push_back(in[0][row + c]);
                        }
                        return std::vector<Values>{y};
                      },
                  .sum_length = count});
}
OP_CASES(gather_rows, gather_row("1x1_by_3", {1, 1}, 3), gather_row("5x33_by_9", {5, 33}, 9),
         gather_row("4x2x3_by_7", {4, 2, 3}, 7), gather_row("6_by_4", {6}, 4), [] {
           OpCase c = gather_row("1000x200_by_1120", {1000, 200}, 1120);
           c.draws = 1, c.check.most_elements = 2, c.bench = true, c.bytes = 1120 * 200 * 8;
           return c;
         }());

OpCase pick_row(const char* label, int64_t rows, int64_t columns) {
  return {.label = label,
          .inputs = {in({rows, columns}), indices({rows}, columns)},
          .op = one([](const auto& x) { return pick(x[0], x[1].value()); }),
          .reference = [columns](const std::vector<Values>& in) {
            Values y;
            for (size_t r = 0; r < in[1].size(); ++r) {
              y.push_back(in[0][r * static_cast<size_t>(columns) + static_cast<size_t>(in[1][r])]);
            }
            return std::vector<Values>{y};
          }};
}
OP_CASES(pick, pick_row("1x1", 1, 1), pick_row("3x33", 3, 33), pick_row("7x4", 7, 4), [] {
  OpCase c = pick_row("1120x1000", 1120, 1000);
  c.draws = 1, c.check.most_elements = 3, c.bench = true, c.bytes = 1120 * 8;
  return c;
}());

OpCase columns_row(const char* label, int64_t rows, int64_t m, int64_t n) {
  return {.label = label,
          .inputs = {in({rows, m}), in({rows, n})},
          .op = binary(concat_columns),
          .reference = [=](const std::vector<Values>& in) {
            Values y;
            for (int64_t r = 0; r < rows; ++r) {
              for (int64_t c = 0; c < m; ++c) y.push_back(in[0][static_cast<size_t>(r * m + c)]);
              for (int64_t c = 0; c < n; ++c) y.push_back(in[1][static_cast<size_t>(r * n + c)]);
            }
            return std::vector<Values>{y};
          }};
}
OP_CASES(concat_columns, columns_row("1x1_1", 1, 1, 1), columns_row("3x7_33", 3, 7, 33),
         columns_row("5x0_4", 5, 0, 4), [] {
           OpCase c = columns_row("128x200_200", 128, 200, 200);
           c.draws = 1, c.check.most_elements = 3, c.bench = true, c.bytes = 128 * 400 * 8;
           return c;
         }());

TEST(Structure, ViewsShareTheValues) {
  const Var x(Tensor::zeros({4, 3}));
  EXPECT_TRUE(reshape(x, {12}).value().same_storage(x.value()));
  EXPECT_TRUE(slice_rows(x, 1, 3).value().same_storage(x.value()));
}

// Two gathers and a dense use of one parameter: one gradient.
TEST(Structure, GatherAddsToAParameter) {
  Parameter p{"table", Tensor::from({1, 2, 3, 4, 5, 6}, {3, 2}), {}};
  Tape tape;
  const Var table = tape.use(p);
  const Var a = gather_rows(table, Tensor::from_indices({2, 0, 2}, {3}));
  const Var b = gather_rows(table, Tensor::from_indices({2}, {1}));
  tape.backward(concat_rows({scale(a, 10), b, square(table)}));
  EXPECT_EQ(p.grad.to_vector(), (Values{12, 14, 6, 8, 31, 33}));
}

// The parts' gradients are views of one tensor until somebody adds to his.
TEST(Structure, ConcatGradientsStayApart) {
  Tape tape;
  const Var a = tape.variable(Tensor::from({1, 2}, {1, 2}));
  const Var b = tape.variable(Tensor::from({3, 4}, {1, 2}));
  const Var early = square(a);
  tape.backward(concat_rows({early, concat_rows({a, b})}));
  EXPECT_EQ(tape.gradient(a).to_vector(), (Values{3, 5}));
  EXPECT_EQ(tape.gradient(b).to_vector(), (Values{1, 1}));
}

TEST(Structure, IndicesAndLabelsKeepTheirType) {
  const Tensor x = Tensor::from_indices({1, 2, 3, 4}, {2, 2});
  const Tensor y = gather_rows(x, Tensor::from_indices({1}, {1})).value();
  EXPECT_EQ(y.dtype(), DType::i32);
  EXPECT_EQ(y.to_vector(), (Values{3, 4}));
  EXPECT_EQ(concat_columns(x, x).value().to_vector(), (Values{1, 2, 1, 2, 3, 4, 3, 4}));
  EXPECT_EQ(pick(x, Tensor::from_indices({1, 0}, {2})).value().to_vector(), (Values{2, 3}));
}

TEST(Structure, NanTravels) {
  const Tensor x = Tensor::from({1, NAN, 2, 3}, {2, 2});
  EXPECT_TRUE(std::isnan(gather_rows(x, Tensor::from_indices({0}, {1})).value().item(1)));
  EXPECT_TRUE(std::isnan(pick(x, Tensor::from_indices({1, 0}, {2})).value().item(0)));
  EXPECT_TRUE(std::isnan(concat_columns(x, x).value().item(3)));
  EXPECT_TRUE(std::isnan(concat_rows({x, x}).value().item(5)));
}

TEST(Structure, EmptyTensors) {
  Tape tape;
  const Var x = tape.variable(Tensor::zeros({3, 2}));
  const Tensor none = Tensor::from_indices({}, {0});
  const Var y = concat_rows({slice_rows(x, 1, 1), gather_rows(x, none), reshape(x, {3, 2})});
  const Var z = concat_columns(y, Tensor({3, 0}));
  tape.backward(z);
  EXPECT_EQ(tape.gradient(x).to_vector(), Values(6, 1.0));
  EXPECT_EQ(pick(Tensor({0, 4}), none).shape(), Shape({0}));
}

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Structure, InputsAreChecked) {
  const Tensor x = Tensor::zeros({3, 4});
  EXPECT_EQ(error_of([&] {
              gather_rows(x, Tensor::from_indices({0, 3}, {2}));
            }),
            "gather_rows: index 3 at 1 is outside an axis of 3");
  EXPECT_EQ(error_of([&] {
              pick(x, Tensor::from_indices({0, 1, -1}, {3}));
            }),
            "pick: index -1 at 2 is outside an axis of 4");
  EXPECT_THROW(pick(x, Tensor::from_indices({0}, {1})), Error);
  EXPECT_THROW(gather_rows(x, Tensor::zeros({2})), Error);
  EXPECT_THROW(reshape(x, {5}), Error);
  EXPECT_THROW(slice_rows(x, 2, 4), Error);
  EXPECT_THROW(concat_rows(std::vector<Var>{}), Error);
  EXPECT_THROW(concat_rows({x, Tensor::zeros({3, 5})}), Error);
  EXPECT_THROW(concat_columns(x, Tensor::zeros({4, 4})), Error);
}

}  // namespace
}  // namespace enas::test
