// Matrix product: every transposition at ragged sizes, and the weight gradient of a window.
#include "ops/matmul.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "ops/embedding.h"
#include "ops/weight_gradient.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

// op(a) [m, k] op(b) [k, n] by definition.
Reference product_reference(size_t m, size_t k, size_t n, bool turn_a, bool turn_b) {
  return [=](const std::vector<Values>& in) {
    Values y(m * n), b = in[1];
    for (size_t i = 0; turn_b && i < k * n; ++i) b[i] = in[1][i % n * k + i / n];
    for (size_t i = 0; i < m; ++i) {
      for (size_t l = 0; l < k; ++l) {
        const double a = in[0][turn_a ? l * m + i : i * k + l];
        for (size_t j = 0; j < n; ++j) y[i * n + j] += a * b[l * n + j];
      }
    }
    return std::vector<Values>{y};
  };
}

OpCase product_case(int64_t m, int64_t k, int64_t n, bool turn_a, bool turn_b) {
  OpCase c;
  c.label = std::to_string(m) + "x" + std::to_string(k) + "x" + std::to_string(n) +
            (turn_a ? "_ta" : "") + (turn_b ? "_tb" : "");
  c.inputs = {turn_a ? in({k, m}) : in({m, k}), turn_b ? in({n, k}) : in({k, n})};
  c.op = [=](Tape&, const std::vector<Var>& x) {
    return std::vector<Var>{matmul(x[0], x[1], Transpose{turn_a}, Transpose{turn_b})};
  };
  c.reference = product_reference(static_cast<size_t>(m), static_cast<size_t>(k),
                                  static_cast<size_t>(n), turn_a, turn_b);
  c.sum_length = std::max({m, k, n});
  c.f32_bound = F32Bound::sums;
  c.draws = m * n > 100 ? 2 : 20;
  return c;
}

OpCase bench_case(int64_t m, int64_t k, int64_t n, bool turn_b) {
  OpCase c = product_case(m, k, n, false, turn_b);
  c.draws = 1;
  c.check.most_elements = 1;
  c.bench = true;
  const auto multiplies = static_cast<double>(m * k * n);
  c.flops = 2 * multiplies;
  c.bytes = 4 * static_cast<double>(m * k + k * n + m * n);
  return c;
}

std::vector<OpCase> matmul_cases() {
  std::vector<OpCase> cases;
  const int64_t sizes[][3] = {{1, 1, 1}, {1, 3, 7}, {3, 7, 1}, {7, 33, 3}, {33, 1, 33}, {33, 7, 3}};
  for (const auto& s : sizes) {
    for (const bool ta : {false, true}) {
      for (const bool tb : {false, true}) {
        cases.push_back(product_case(s[0], s[1], s[2], ta, tb));
      }
    }
  }
  // What tensor/single_gemm.h takes: forward and both gradients; a turned.
  for (const auto& [m, k, n, ta] : {std::array<int64_t, 4>{64, 130, 600, 0}, {130, 20, 600, 1}}) {
    cases.push_back(product_case(m, k, n, ta != 0, false));
    cases.back().draws = 1;
    cases.back().check.most_elements = 2;
  }
  cases.push_back(bench_case(64, 1000, 2000, false));
  cases.push_back(bench_case(1120, 200, 10000, true));
  return cases;
}
OP_CASES(matmul, matmul_cases());

void expect_window(const std::vector<Tensor>& inputs, int64_t k, int64_t n, Transpose ta,
                   Transpose tb) {
  expect_window_gradient(random_tensor(tb == Transpose::yes ? Shape{n, k} : Shape{k, n}, 50),
                         [&](const Var& w) {
                           std::vector<Var> outputs;
                           for (const Tensor& x : inputs) outputs.push_back(matmul(x, w, ta, tb));
                           return weighted_sum(outputs);
                         });
}

TEST(MatmulWindow, GradientIsTheSumOfAllUses) {
  for (const Transpose ta : {Transpose::no, Transpose::yes}) {
    for (const Transpose tb : {Transpose::no, Transpose::yes}) {
      std::vector<Tensor> inputs;
      for (const int64_t rows : {3, 1, 7, 3}) {
        inputs.push_back(random_tensor(ta == Transpose::yes ? Shape{5, rows} : Shape{rows, 5},
                                       static_cast<uint64_t>(10 + rows)));
      }
      expect_window(inputs, 5, 4, ta, tb);
    }
  }
}

// More rows than one stack takes, and a use too large to wait.
TEST(MatmulWindow, StacksAndLargeUsesAgree) {
  std::vector<Tensor> inputs;
  for (uint64_t t = 0; t < 9; ++t) inputs.push_back(random_tensor({kStackRows / 3, 3}, t));
  inputs.push_back(random_tensor({kWaitingRows + 44, 3}, 77));
  expect_window(inputs, 3, 2, Transpose::no, Transpose::no);
  expect_window(inputs, 3, 2, Transpose::no, Transpose::yes);
}

// Uses that are each large enough for a product of their own are still summed.
TEST(MatmulWindow, LargeUsesInF32) {
  const Tensor w = random_tensor({130, 600}, 50, DType::f32);
  const auto gradient = [&](DType dtype) {
    Parameter p{"w", w.to(dtype), {}};
    Tape tape;
    std::vector<Var> outputs;
    for (uint64_t step = 1; step <= 2; ++step)
      outputs.push_back(matmul(random_tensor({64, 130}, step, DType::f32).to(dtype), tape.use(p)));
    tape.backward(weighted_sum(outputs));
    return p.grad.to_vector();
  };
  const Values got = gradient(DType::f32), want = gradient(DType::f64);
  for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-4) << i;
}

TEST(MatmulWindow, NeighbouringSlicesNeedNoCopy) {
  const Tensor all = random_tensor({12, 5}, 3);
  std::vector<Tensor> slices;
  for (int64_t t = 0; t < 4; ++t) slices.push_back(all.slice(3 * t, 3 * t + 3));
  expect_window(slices, 5, 4, Transpose::no, Transpose::no);
  std::swap(slices[0], slices[2]);  // no longer neighbours in order
  expect_window(slices, 5, 4, Transpose::no, Transpose::no);
}

TEST(MatmulWindow, WritesOverUninitialisedGradients) {
  memory_pool().set_poison(true);
  Parameter p{"w", random_tensor({5, 4}, 50, DType::f32), {}};
  Tape tape;
  const Tensor x = random_tensor({2, 5}, 1, DType::f32);
  tape.backward(weighted_sum({matmul(x, tape.use(p)), matmul(x, tape.use(p))}));
  memory_pool().set_poison(false);
  for (const double v : p.grad.to_vector()) EXPECT_TRUE(std::isfinite(v));
}

TEST(MatmulWindow, TiedEmbeddingSumsBothGradients) {
  const Tensor table = random_tensor({6, 3}, 1);
  const Tensor indices = Tensor::from_indices({4, 0, 4}, {3});
  const auto loss = [&](const Var& in_table, const Var& out_table) {
    return weighted_sum(
        {matmul(embedding(in_table, indices), out_table, Transpose::no, Transpose::yes)});
  };
  Parameter p{"table", table, {}};
  Tape tape;
  tape.backward(loss(tape.use(p), tape.use(p)));
  Tape apart;
  const Var in_table = apart.variable(table), out_table = apart.variable(table);
  apart.backward(loss(in_table, out_table));
  const Values a = apart.gradient(in_table).to_vector(), b = apart.gradient(out_table).to_vector();
  const Values got = p.grad.to_vector();
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], a[i] + b[i], 1e-13);
  EXPECT_NE(a[0], 0);
  EXPECT_EQ(a[3], 0);    // row 1 is not looked up ...
  EXPECT_NE(got[3], 0);  // ... but is an output
}

TEST(Matmul, SameVarOnBothSides) {
  const Tensor x = random_tensor({4, 4}, 2);
  EXPECT_EQ(
      grad_check(
          [](Tape&, const std::vector<Var>& v) { return weighted_sum({matmul(v[0], v[0])}); }, {x}),
      "");
}

TEST(Matmul, EmptySums) {
  const Tensor y = matmul(Tensor({2, 0}), Tensor({0, 3})).value();
  EXPECT_EQ(y.to_vector(), Values(6, 0.0));
  EXPECT_EQ(matmul(Tensor({0, 2}), Tensor::zeros({2, 3})).numel(), 0);
}

TEST(Matmul, RefusesWhatDoesNotFit) {
  const Var a = Tensor::zeros({2, 3}), b = Tensor::zeros({4, 5});
  EXPECT_EQ(error_of([&] { matmul(a, b); }), "matmul: inner sizes differ: a [2, 3], b [4, 5]");
  EXPECT_EQ(error_of([&] { matmul(a, b, Transpose::no, Transpose::yes); }),
            "matmul: inner sizes differ: a [2, 3], b [4, 5] transposed");
  EXPECT_EQ(error_of([&] { matmul(Tensor::zeros({3}), b); }),
            "matmul: needs two matrices, got [3] and [4, 5]");
  EXPECT_EQ(error_of([&] {
              matmul(a, Tensor::zeros({3, 2}, DType::f64));
            }),
            "matmul: needs one dtype, got f32 and f64");
}

}  // namespace
}  // namespace enas::test
