// Decoder and loss in one: the fused evaluation against the recorded composition, ragged
// vocabularies, many row groups, values at the edges.
#include "ops/linear_cross_entropy.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/matmul.h"
#include "ops/softmax_cross_entropy.h"
#include "tensor/philox.h"
#include "tests/op_cases.h"

namespace enas::test {
namespace {

OpCase decoder(int64_t rows, int64_t hidden, int64_t vocabulary, bool gradient) {
  OpCase c;
  c.label = std::to_string(rows) + "x" + std::to_string(hidden) + "x" + std::to_string(vocabulary) +
            (gradient ? "" : "_evaluated");
  const Shape x{rows, hidden}, w{vocabulary, hidden};
  if (gradient) {
    c.inputs = {in(x), in(w), indices({rows}, vocabulary)};
  } else {
    c.inputs = {constant(x, -1, 1), constant(w, -1, 1), indices({rows}, vocabulary)};
    c.gradient = false;
  }
  c.op = [](Tape&, const std::vector<Var>& v) {
    return std::vector<Var>{linear_cross_entropy(v[0], v[1], v[2].value())};
  };
  c.reference = [=](const std::vector<Values>& v) {
    const auto h = static_cast<size_t>(hidden);
    double loss = 0;
    for (size_t r = 0; r < v[2].size(); ++r) {
      double total = 0, picked = 0;
      for (size_t j = 0; j < static_cast<size_t>(vocabulary); ++j) {
        double z = 0;
        for (size_t k = 0; k < h; ++k) z += v[0][r * h + k] * v[1][j * h + k];
        total += std::exp(z);
        if (j == static_cast<size_t>(v[2][r])) picked = z;
      }
      loss += std::log(total) - picked;
    }
    return std::vector<Values>{{loss / static_cast<double>(v[2].size())}};
  };
  c.sum_length = std::max(vocabulary, hidden);
  return c;
}
OpCase timed(OpCase c, double flops) {
  c.draws = 1, c.bench = true, c.flops = flops, c.check.most_elements = 1;
  return c;
}
OP_CASES(linear_cross_entropy, decoder(2, 3, 5, true), decoder(7, 4, 33, true),
         decoder(1, 1, 2, false), decoder(3, 5, 7, false), decoder(9, 6, 50, false),
         decoder(65, 8, 97, false), decoder(300, 7, 400, false),
         timed(decoder(256, 32, 2000, false), 2.0 * 256 * 32 * 2000));

Tensor drawn(const Shape& shape, uint64_t step) {
  Tensor t(shape);
  const Random random{1, Stream::test, step};
  for (int64_t i = 0; i < t.numel(); ++i) {
    t.data<float>()[i] = static_cast<float>(4 * random.uniform53(static_cast<uint64_t>(i)) - 2);
  }
  return t;
}

// Large logits, growing along the vocabulary: every tile has a new maximum.
TEST(LinearCrossEntropy, MaximumThatGrows) {
  constexpr int64_t kVocabulary = 1000;
  const Tensor x = Tensor::from({1, -1}, {2, 1});
  Tensor w({kVocabulary, 1});
  for (int64_t j = 0; j < kVocabulary; ++j) w.data<float>()[j] = static_cast<float>(j);
  // Row 0: logits 0 ... 999, row 1: 0 ... -999.
  const Var y = linear_cross_entropy(x, w, Tensor::from_indices({999, 0}, {2}));
  EXPECT_NEAR(y.value().item(), std::log(1 / (1 - std::exp(-1.0))), 1e-5);
}

TEST(LinearCrossEntropy, TheTapesCopyFollowsTheWeight) {
  Parameter w;
  w.name = "w";
  w.value = drawn({40, 6}, 1);
  const Tensor x = drawn({5, 6}, 2), targets = Tensor::from_indices({0, 39, 7, 8, 9}, {5});
  Tape tape;
  const Tape::NoGrad no_grad(tape);
  const double before = linear_cross_entropy(x, tape.use(w), targets).value().item();
  EXPECT_EQ(tape.packed_weights().size(), 1u);
  EXPECT_EQ(linear_cross_entropy(x, w.value, targets).value().item(), before);
  w.value.fill(0);
  w.value.bump_version();
  EXPECT_NEAR(linear_cross_entropy(x, tape.use(w), targets).value().item(), std::log(40), 1e-6);
}

TEST(LinearCrossEntropy, EvaluationIsTheRecordedLoss) {
  const Tensor x = drawn({130, 16}, 1), w = drawn({211, 16}, 2);
  std::vector<int32_t> chosen;
  for (int32_t r = 0; r < 130; ++r) chosen.push_back(r * 7 % 211);
  const Tensor targets = Tensor::from_indices(chosen, {130});
  Tape tape;
  const double recorded = linear_cross_entropy(tape.variable(x), w, targets).value().item();
  EXPECT_NEAR(linear_cross_entropy(x, w, targets).value().item(), recorded, 1e-5 * recorded);
}

TEST(LinearCrossEntropy, WhatIsNotFiniteTravels) {
  const Tensor targets = Tensor::from_indices({0}, {1});
  const auto loss = [&](float weight) {
    Tensor w = Tensor::zeros({60, 1});
    w.data<float>()[3] = weight;
    return linear_cross_entropy(Tensor::from({1}, {1, 1}), w, targets).value().item();
  };
  EXPECT_TRUE(std::isnan(loss(NAN)));
  EXPECT_FALSE(std::isfinite(loss(INFINITY)));
  EXPECT_NEAR(loss(-INFINITY), std::log(59), 1e-6);
}

TEST(LinearCrossEntropy, NoRowsGiveNan) {
  const Var y =
      linear_cross_entropy(Tensor({0, 3}), Tensor::zeros({5, 3}), Tensor::from_indices({}, {0}));
  EXPECT_TRUE(std::isnan(y.value().item()));
}

TEST(LinearCrossEntropy, InputsAreChecked) {
  const Tensor x = Tensor::zeros({2, 3}), w = Tensor::zeros({4, 3});
  const Tensor targets = Tensor::from_indices({0, 4}, {2});
  try {
    linear_cross_entropy(x, w, targets);
    FAIL() << "target 4 of a vocabulary of 4 was accepted";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "linear_cross_entropy: target 4 of row 1 is outside the vocabulary of 4");
  }
  EXPECT_THROW(linear_cross_entropy(x, Tensor::zeros({4, 2}), targets), Error);
  EXPECT_THROW(linear_cross_entropy(x, w, Tensor::zeros({2})), Error);
  EXPECT_THROW(linear_cross_entropy(x, w, Tensor::from_indices({0}, {1})), Error);
}

}  // namespace
}  // namespace enas::test
