// The recurrent task: what evaluation predicts, what a score depends on, carried state, and the
// dropout masks of a window.
#include "nas/rnn/task.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "ops/grad_norm.h"
#include "tests/nas/small_task.h"

namespace enas::test {
namespace {

Tensor gate(double finite) { return Tensor::from({1, 1, finite, 1}, {kGateSize}, DType::f64); }

class Task : public testing::Test {
 protected:
  const std::vector<Architecture> archs_ = random_architectures(RnnSpace(3), 4);
  const Architecture arch_ = archs_[0];
};

// Tokens one by one, or in windows of any lengths, over one stream that begins with <eos>.
TextScore manual(RnnChild& child, const Architecture& arch, const std::vector<int32_t>& tokens,
                 const std::vector<int64_t>& lengths) {
  Tape tape;
  const Tape::NoGrad no_grad(tape);
  Tensor state = child.zero_state(1);
  TextScore score;
  size_t at = 0;
  for (size_t k = 0; at < tokens.size(); ++k) {
    const auto n = std::min(static_cast<size_t>(lengths[k % lengths.size()]), tokens.size() - at);
    TextWindow window{static_cast<int64_t>(n), 1, {}, {}};
    for (size_t i = at; i < at + n; ++i) {
      window.inputs.push_back(i == 0 ? 0 : tokens[i - 1]);
      window.targets.push_back(tokens[i]);
    }
    const RnnChild::Pass pass = child.run(tape, arch, window, state);
    score.nll += pass.cross_entropy.value().item() * static_cast<double>(n);
    score.tokens += static_cast<int64_t>(n);
    state = pass.state;
    at += n;
  }
  return score;
}

TEST_F(Task, EvaluatePredictsEveryTokenOnce) {
  SmallTask small(full_options());
  for (const int64_t n : {1, 127, 128, 129, 300}) {
    const auto tokens = random_tokens(n, 11, 2);
    const TextScore score = small.task.evaluate(arch_, tokens);
    EXPECT_EQ(score.tokens, n);
    for (const auto& lengths : {std::vector<int64_t>{1}, {7, 2, 31}, {1000}}) {
      const TextScore other = manual(small.child, arch_, tokens, lengths);
      EXPECT_EQ(other.tokens, n);
      EXPECT_NEAR(score.nll, other.nll, 1e-6 * other.nll) << n << " tokens";
    }
    EXPECT_DOUBLE_EQ(score.perplexity(), std::exp(score.nll / static_cast<double>(n)));
  }
}

// A child whose logits are all zero is undecided among the words.
TEST_F(Task, EvaluateOfAnUndecidedChildIsTheVocabulary) {
  SmallTask small;
  small.child.parameters().get("embedding").value.fill(0);
  EXPECT_NEAR(small.task.evaluate(arch_, random_tokens(200, 11)).perplexity(), 11, 1e-5);
}

TEST_F(Task, EvaluateRefusesNoTokens) {
  SmallTask small;
  EXPECT_THROW(small.task.evaluate(arch_, {}), Error);
}

TEST_F(Task, RefusesABatchThatLeavesNoWindow) {
  const auto tokens = random_tokens(20, 11);
  SmallTask small;
  for (const auto& [batch, reward_batch] : {std::pair{21, 1}, std::pair{1, 21}}) {
    try {
      const RnnTask task(small.child, {.batch = batch, .reward_batch = reward_batch}, tokens,
                         tokens, 0);
      ADD_FAILURE() << "made a task of batch " << batch;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
    }
  }
}

TEST_F(Task, ScoreIsDeterministicWhateverWasScoredBefore) {
  SmallTask small(full_options());
  const TextScore first = small.task.score(arch_);
  EXPECT_EQ(first.tokens, 3 * (101 / 3));  // the streams' tail is dropped
  for (size_t i = 1; i < archs_.size(); ++i) {
    EXPECT_NE(small.task.score(archs_[i], 3).nll, small.task.score(arch_, 3).nll);
    small.task.rewards({&archs_[i], 1}, i);
    Tape tape;
    small.task.train_loss(tape, archs_[i], small.window(), i);
    small.task.finish_step(gate(1));
    EXPECT_EQ(small.task.score(arch_).nll, first.nll);
  }
  SmallTask other(small_options());  // neither masks nor regularisers count
  EXPECT_EQ(other.task.score(arch_).nll, first.nll);
}

TEST_F(Task, ScoreOfWindowsTakesTheFirstOnes) {
  SmallTask small;
  const TextStreams streams(small.valid, 3, 0);
  Tape tape;
  const Tape::NoGrad no_grad(tape);
  Tensor state = small.child.zero_state(3);
  TextScore want;
  ASSERT_EQ(small.task.valid_windows(), 7);  // 33 positions by 5
  for (int64_t k = 1; k <= 7; ++k) {
    const TextWindow window = streams.window((k - 1) * 5, k == 7 ? 3 : 5);
    const RnnChild::Pass pass = small.child.run(tape, arch_, window, state);
    want.tokens += window.length * 3;
    want.nll += pass.cross_entropy.value().item() * static_cast<double>(window.length * 3);
    state = pass.state;
    const TextScore score = small.task.score(arch_, k);
    EXPECT_EQ(score.tokens, want.tokens);
    EXPECT_DOUBLE_EQ(score.nll, want.nll);
  }
  for (const int64_t all : {0, 8, 1000}) {
    EXPECT_EQ(small.task.score(arch_, all).tokens, want.tokens);
    EXPECT_EQ(small.task.score(arch_, all).nll, small.task.score(arch_, 7).nll);
  }
}

// Two windows with the state carried are one long window.
TEST_F(Task, StateIsCarriedInTraining) {
  SmallTask small, whole;
  Tape tape;
  const auto step = [&](SmallTask& which, int64_t start, int64_t length) {
    tape.clear();
    which.task.train_loss(tape, arch_, which.window(start, length), 0);
    which.task.finish_step(gate(1));
    return which.task.last_cross_entropy().read().loss();
  };
  const double first = step(small, 0, 4), second = step(small, 4, 6), both = step(whole, 0, 10);
  EXPECT_NEAR((4 * first + 6 * second) / 10, both, 1e-6);
  EXPECT_EQ(bytes_of(small.task.state()), bytes_of(whole.task.state()));
  const double carried = step(small, 4, 6);
  EXPECT_NE(carried, second);  // from another state
  small.task.reset_state();
  EXPECT_EQ(bytes_of(small.task.state()), bytes_of(small.child.zero_state(4)));
  EXPECT_EQ(step(small, 0, 4), first);
  step(whole, 0, 4);
  small.task.train_loss(tape, arch_, small.window(), 0);
  small.task.finish_step(gate(0));  // not finite
  EXPECT_EQ(bytes_of(small.task.state()), bytes_of(small.child.zero_state(4)));
}

// What a step carries over is a copy, which the next step's tape does not hold on to.
TEST_F(Task, CarriedStateIsCutOffFromTheTape) {
  SmallTask small;
  Tape tape;
  const Var loss = small.task.train_loss(tape, arch_, small.window(), 0);
  small.task.finish_step(gate(1));
  const std::string before = bytes_of(small.task.state());
  EXPECT_TRUE(small.task.state().unique());
  tape.backward(loss);
  EXPECT_EQ(bytes_of(small.task.state()), before);
}

TEST_F(Task, TrainLossAddsRegularisersAndMasks) {
  const auto loss = [&](const RnnChildOptions& options, uint64_t draw) {
    SmallTask small(options);
    Tape tape;
    const double value = small.task.train_loss(tape, arch_, small.window(), draw).value().item();
    return std::pair(value, small.task.last_cross_entropy().read().loss());
  };
  RnnChildOptions dropout = small_options(), penalties = full_options();
  dropout.dropout = penalties.dropout;
  penalties.dropout = {};
  const auto plain = loss(small_options(), 0);
  EXPECT_EQ(plain.first, plain.second);
  EXPECT_EQ(loss(penalties, 0).second, plain.second);
  EXPECT_GT(loss(penalties, 0).first, plain.first);
  EXPECT_EQ(loss(dropout, 3), loss(dropout, 3));
  EXPECT_NE(loss(dropout, 3), loss(dropout, 4));
  EXPECT_NE(loss(dropout, 3), plain);
}

class Masks : public testing::Test {
 protected:
  static RnnChildOptions options() {
    RnnChildOptions options = full_options();
    options.vocabulary = 4000;
    options.hidden = 100;
    return options;
  }
  static constexpr int64_t kBatch = 40;
};

TEST_F(Masks, ArePureFunctionsOfSeedAndStep) {
  const auto bytes = [](uint64_t seed, uint64_t step) {
    const RnnMasks masks = draw_masks(options(), kBatch, seed, step);
    return std::vector<std::string>{bytes_of(masks.word), bytes_of(masks.input),
                                    bytes_of(masks.recurrent), bytes_of(masks.output)};
  };
  const auto masks = bytes(1, 5), later = bytes(1, 6), seeded = bytes(2, 5);
  EXPECT_EQ(bytes(1, 5), masks);
  for (size_t i = 0; i < masks.size(); ++i) {
    EXPECT_NE(masks[i], later[i]);
    EXPECT_NE(masks[i], seeded[i]);
  }
}

// A rate of n draws within four standard deviations, kept values scaled to keep the mean.
void expect_rate(const Tensor& mask, const Shape& shape, double rate) {
  ASSERT_EQ(mask.shape(), shape);
  double dropped = 0;
  for (const double value : mask.to_vector()) {
    if (value == 0) {
      ++dropped;
    } else {
      ASSERT_FLOAT_EQ(static_cast<float>(value), static_cast<float>(1 / (1 - rate)));
    }
  }
  const auto n = static_cast<double>(mask.numel());
  EXPECT_NEAR(dropped / n, rate, 4 * std::sqrt(rate * (1 - rate) / n));
}

TEST_F(Masks, RespectTheirRates) {
  RnnChildOptions o = options();
  const Shape locked{kBatch, o.hidden};
  const RnnMasks masks = draw_masks(o, kBatch, 1, 5);
  expect_rate(masks.word, {o.vocabulary}, o.dropout.word);
  expect_rate(masks.recurrent, locked, o.dropout.recurrent);
  expect_rate(masks.output, locked, o.dropout.output);
  o.dropout = {.embedding = 0.2};
  expect_rate(draw_masks(o, kBatch, 1, 5).input, locked, 0.2);
  o.dropout = {.input = 0.75};
  expect_rate(draw_masks(o, kBatch, 1, 5).input, locked, 0.75);
}

// The input's mask is the product of the embedding's and the cell input's, independent draws.
TEST_F(Masks, InputMaskCombinesTwo) {
  RnnChildOptions o = options();
  const auto input = [&](double embedding, double cell_input) {
    o.dropout = {.embedding = embedding, .input = cell_input};
    return draw_masks(o, kBatch, 1, 5).input.to_vector();
  };
  const auto both = input(0.2, 0.75), first = input(0.2, 0), second = input(0, 0.75);
  ASSERT_EQ(both.size(), first.size());
  double kept = 0;
  for (size_t i = 0; i < both.size(); ++i) {
    ASSERT_FLOAT_EQ(static_cast<float>(both[i]), static_cast<float>(first[i] * second[i]));
    kept += both[i] != 0 ? 1 : 0;
  }
  const auto n = static_cast<double>(both.size());
  EXPECT_NEAR(kept / n, 0.2, 4 * std::sqrt(0.2 * 0.8 / n));  // 0.8 * 0.25
}

TEST_F(Masks, ARateOfZeroDrawsNone) {
  RnnChildOptions o = options();
  o.dropout = {};
  const RnnMasks masks = draw_masks(o, kBatch, 1, 5);
  for (const Tensor* mask : {&masks.word, &masks.input, &masks.recurrent, &masks.output})
    EXPECT_FALSE(mask->defined());
  o.dropout = {.recurrent = 0.5};
  EXPECT_TRUE(draw_masks(o, kBatch, 1, 5).recurrent.defined());
  EXPECT_FALSE(draw_masks(o, kBatch, 1, 5).output.defined());
}

// Locked: a word that is dropped is dropped wherever it stands, and a unit at every time step, so
// that their weights do not show in any state. A highway's carry is not dropped: it reads no
// weight.
void expect_locked(CellKind kind) {
  RnnChildOptions o = small_options();
  o.cell = kind;
  const RnnSpace space(1);
  RnnChild child(space, o, 1);
  RnnMasks masks;
  masks.word = Tensor::full({o.vocabulary}, 1);
  masks.word.data<float>()[2] = 0;
  masks.recurrent = Tensor::from({0, 1, 1, 1, 1, 1, 1, 1}, {1, o.hidden});
  const RnnCell cell = space.decode(space.parse("0 3"));
  const TextWindow window{6, 1, {1, 2, 1, 3, 2, 1}, {1, 1, 1, 1, 1, 1}};
  const auto states = [&] {
    Tape tape;
    return bytes_of(child.encode(tape, cell, window, child.zero_state(1), masks).value());
  };
  const auto shift_row = [&](const char* name, int64_t row) {
    Tensor& value = child.parameters().get(name).value;
    const int64_t width = value.size(1);
    for (int64_t i = 0; i < width; ++i) value.data<float>()[row * width + i] += 1;
  };
  const std::string before = states();
  shift_row("embedding", 2);
  shift_row("cell.edge.1.0.identity", 0);
  shift_row("cell.input", o.hidden);  // [x, s]: the state's unit 0
  EXPECT_EQ(states(), before);
  for (const auto& [name, row] : {std::pair{"embedding", int64_t{3}},
                                  {"cell.edge.1.0.identity", 1},
                                  {"cell.input", o.hidden + 1}}) {
    const std::string last = states();
    shift_row(name, row);
    EXPECT_NE(states(), last) << name;
  }
}
TEST_F(Masks, AreConstantOverAWindowOfHighwayCells) { expect_locked(CellKind::highway); }
TEST_F(Masks, AreConstantOverAWindowOfPlainCells) { expect_locked(CellKind::plain); }

}  // namespace
}  // namespace enas::test
