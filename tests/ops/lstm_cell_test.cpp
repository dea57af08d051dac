// One LSTM step against its definition; either output alone; the window's weight gradient.
#include "ops/lstm_cell.h"

#include "tests/ops/window.h"

namespace enas::test {
namespace {

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

// Inputs x, h, c, w; outputs h', c'.
Reference lstm_reference(size_t rows, size_t inputs, size_t n) {
  return [=](const std::vector<Values>& in) {
    Values h(rows * n), c(rows * n);
    for (size_t r = 0; r < rows; ++r) {
      Values z(4 * n);
      for (size_t k = 0; k < inputs + n; ++k) {
        const double v = k < inputs ? in[0][r * inputs + k] : in[1][r * n + k - inputs];
        for (size_t j = 0; j < 4 * n; ++j) z[j] += v * in[3][k * 4 * n + j];
      }
      for (size_t j = 0; j < n; ++j) {
        const size_t at = r * n + j;
        c[at] = sigmoid_of(z[j]) * std::tanh(z[3 * n + j]) + sigmoid_of(z[n + j]) * in[2][at];
        h[at] = sigmoid_of(z[2 * n + j]) * std::tanh(c[at]);
      }
    }
    return std::vector<Values>{h, c};
  };
}

enum class Outputs { both, only_h, only_c };

OpCase lstm_case(int64_t rows, int64_t inputs, int64_t n, Outputs wanted = Outputs::both) {
  OpCase c;
  c.label = "n" + std::to_string(rows) + "_i" + std::to_string(inputs) + "_h" + std::to_string(n) +
            (wanted == Outputs::both     ? ""
             : wanted == Outputs::only_h ? "_only_h"
                                         : "_only_c");
  const double reach = 2 / std::sqrt(static_cast<double>(inputs + n));
  c.inputs = {in({rows, inputs}), in({rows, n}), in({rows, n}),
              in({inputs + n, 4 * n}, -reach, reach)};
  c.op = [=](Tape&, const std::vector<Var>& v) {
    const LstmState next = lstm_cell(v[0], {v[1], v[2]}, v[3]);
    if (wanted == Outputs::only_h) return std::vector<Var>{next.h};
    if (wanted == Outputs::only_c) return std::vector<Var>{next.c};
    return std::vector<Var>{next.h, next.c};
  };
  const Reference both = lstm_reference(static_cast<size_t>(rows), static_cast<size_t>(inputs),
                                        static_cast<size_t>(n));
  c.reference = [=](const std::vector<Values>& v) {
    const std::vector<Values> y = both(v);
    if (wanted == Outputs::both) return y;
    return std::vector<Values>{y[wanted == Outputs::only_h ? 0 : 1]};
  };
  c.sum_length = std::max(inputs + n, 4 * n);
  return c;
}

OpCase bench_case(int64_t rows, int64_t n) {
  OpCase c = lstm_case(rows, n, n);
  const auto hidden = static_cast<double>(n), batch = static_cast<double>(rows);
  c.draws = 1;
  c.check.most_elements = 8;
  c.bench = true;
  c.flops = 16 * batch * hidden * hidden;
  c.bytes = 4 * (8 * hidden * hidden + 9 * batch * hidden);
  return c;
}

OP_CASES(lstm_cell, lstm_case(1, 1, 1), lstm_case(3, 7, 1), lstm_case(3, 2, 7), lstm_case(7, 5, 3),
         lstm_case(3, 2, 7, Outputs::only_h), lstm_case(3, 2, 7, Outputs::only_c),
         lstm_case(2, 33, 33), bench_case(1, 64), bench_case(1, 100), bench_case(64, 100));

TEST(LstmWindow, GradientIsTheSumOfAllUses) {
  expect_window_gradient(random_tensor({5, 12}, 2), [](const Var& w) {
    const Tensor zero = Tensor::zeros({2, 3}, DType::f64);
    LstmState state{zero, zero};
    for (uint64_t t = 0; t < 4; ++t) state = lstm_cell(random_tensor({2, 2}, 10 + t), state, w);
    return weighted_sum({state.h, state.c});
  });
}

TEST(Lstm, OneVarInEveryPlace) {
  EXPECT_EQ(grad_check(
                [](Tape&, const std::vector<Var>& v) {
                  const LstmState next = lstm_cell(v[0], {v[0], v[0]}, v[1]);
                  return weighted_sum({next.h, next.c});
                },
                {random_tensor({2, 3}, 1), random_tensor({6, 12}, 2)}),
            "");
}

TEST(Lstm, SaturatedGatesKeepTheCell) {
  // i = 0, f = 1 to rounding: the cell is carried, and the gradient with it.
  const Tensor w = Tensor::from({-200, 200, 200, 0, 0, 0, 0, 0}, {2, 4});
  Tape tape;
  const Var c = tape.variable(Tensor::full({1, 1}, 0.5));
  const LstmState next = lstm_cell(Tensor::full({1, 1}, 1), {Tensor::full({1, 1}, 0), c}, w);
  EXPECT_EQ(next.c.value().item(), 0.5);
  tape.backward(next.c);
  EXPECT_EQ(tape.gradient(c).item(), 1);
}

TEST(Lstm, RefusesWhatDoesNotFit) {
  const Var x = Tensor::zeros({2, 3}), h = Tensor::zeros({2, 4}), w = Tensor::zeros({7, 16});
  EXPECT_EQ(error_of([&] {
              lstm_cell(Tensor::zeros({3}), {h, h}, w);
            }),
            "lstm_cell: needs x [B, I] and h [B, H], got [3] and [2, 4]");
  EXPECT_EQ(error_of([&] {
              lstm_cell(x, {Tensor::zeros({1, 4}), h}, w);
            }),
            "lstm_cell: h must be f32 [2, 4], got f32 [1, 4]");
  EXPECT_EQ(error_of([&] {
              lstm_cell(x, {h, x}, w);
            }),
            "lstm_cell: c must be f32 [2, 4], got f32 [2, 3]");
  EXPECT_EQ(error_of([&] {
              lstm_cell(x, {h, h}, h);
            }),
            "lstm_cell: w must be f32 [7, 16], got f32 [2, 4]");
  EXPECT_EQ(error_of([&] { lstm_cell(x, {h, h}, Var()); }), "lstm_cell: w has no value");
}

}  // namespace
}  // namespace enas::test
