#include "ops/sample.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/op_cases.h"

namespace enas::test {
namespace {

// Inverse CDF by the book: probabilities first, then the smallest j with u < P(0) + ... + P(j).
Reference sample_reference(size_t n, Random random, uint64_t first) {
  return [=](const std::vector<Values>& in) {
    const Values& x = in[0];
    std::vector<Values> out(3);
    for (size_t r = 0; r < x.size() / n; ++r) {
      double total = 0, entropy = 0, below = 0;
      for (size_t j = 0; j < n; ++j) total += std::exp(x[r * n + j]);
      for (size_t j = 0; j < n; ++j) {
        const double p = std::exp(x[r * n + j]) / total;
        entropy -= p * std::log(p);
      }
      size_t action = 0;
      const double u = random.uniform53(first + r);
      for (; action + 1 < n; ++action) {
        below += std::exp(x[r * n + action]) / total;
        if (u < below) break;
      }
      out[0].push_back(static_cast<double>(action));
      out[1].push_back(std::log(std::exp(x[r * n + action]) / total));
      out[2].push_back(entropy);
    }
    return out;
  };
}

constexpr Random kRandom{5, Stream::test, 3};
OpFunction sampler(uint64_t first) {
  return [first](Tape&, const std::vector<Var>& x) {
    const CategoricalResult r = sample_categorical(x[0].value(), kRandom, first);
    return std::vector<Var>{r.actions, r.log_prob, r.entropy};
  };
}

OP_CASES(sample_categorical,
         {.label = "9x4",
          .inputs = {in({9, 4}, -2, 2)},
          .op = sampler(0),
          .reference = sample_reference(4, kRandom, 0),
          .gradient = false},
         {.label = "5x1",
          .inputs = {in({5, 1})},
          .op = sampler(7),
          .reference = sample_reference(1, kRandom, 7),
          .gradient = false},
         {.label = "256x12",
          .inputs = {in({256, 12}, -3, 3)},
          .op = sampler(1000),
          .reference = sample_reference(12, kRandom, 1000),
          .gradient = false,
          .bench = true,
          .flops = 256 * 12 * 6,
          .bytes = 256 * 12 * 4});

TEST(SampleCategorical, FrequenciesMatchTheDistribution) {
  constexpr int64_t kRows = 100000;
  const std::vector<double> logits = {0.3, -1.0, 1.2, -0.2};
  Tensor x({kRows, 4}, DType::f64);
  for (int64_t r = 0; r < kRows; ++r)
    std::copy(logits.begin(), logits.end(), x.data<double>() + 4 * r);
  const CategoricalResult result = sample_categorical(x, {1, Stream::test, 9});
  std::vector<double> count(4);
  for (int64_t r = 0; r < kRows; ++r) ++count[static_cast<size_t>(result.actions.item(r))];
  double total = 0, chi_square = 0;
  for (const double v : logits) total += std::exp(v);
  for (size_t j = 0; j < 4; ++j) {
    const double expected = std::exp(logits[j]) / total * kRows;
    chi_square += (count[j] - expected) * (count[j] - expected) / expected;
  }
  EXPECT_LT(chi_square, 16.27);  // 3 degrees of freedom, p = 0.001
}

TEST(SampleCategorical, ChoosesByInversionAndNeverTheImpossible) {
  const std::vector<double> logits = {-INFINITY, 0, -INFINITY, 0, -INFINITY};
  EXPECT_EQ(cpu::choose(logits, 0).action, 1);
  EXPECT_EQ(cpu::choose(logits, 0.4999).action, 1);
  EXPECT_EQ(cpu::choose(logits, 0.5).action, 3);
  EXPECT_EQ(cpu::choose(logits, 1 - 0x1p-53).action, 3);
  EXPECT_DOUBLE_EQ(cpu::choose(logits, 0).entropy, std::log(2.0));
  EXPECT_DOUBLE_EQ(cpu::choose(logits, 0).log_prob, -std::log(2.0));
}

TEST(SampleCategorical, RefusesLogitsThatAreNotFinite) {
  for (const std::vector<double>& row : std::vector<std::vector<double>>{
           {0, NAN}, {NAN, 0}, {0, INFINITY}, {-INFINITY, -INFINITY}, {NAN, NAN}}) {
    try {
      sample_categorical(Tensor::from(row, {1, 2}), {1, Stream::test, 0});
      ADD_FAILURE() << row[0] << " " << row[1];
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::diverged);
    }
  }
  EXPECT_THROW(sample_categorical(Tensor::zeros({3}), {}), Error);
  EXPECT_EQ(sample_categorical(Tensor::zeros({0, 3}), {}).actions.numel(), 0);
}

}  // namespace
}  // namespace enas::test
