// controller_record of ops/controller_score.h: one architecture by small recorded ops, the form
// that the fused op is held to.
#include <cmath>
#include <numeric>

#include "ops/controller_score.h"
#include "ops/entropy.h"
#include "ops/log_softmax.h"
#include "ops/lstm_cell.h"
#include "ops/matmul.h"
#include "ops/mean_of.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/structure.h"

namespace enas {
namespace {

constexpr const char* kOp = "controller_record";

// C tanh(logits / T).
Var bounded(const Var& logits, const Decision& decision) {
  const Var scaled = decision.temperature == 1 ? logits : scale(logits, 1 / decision.temperature);
  return decision.tanh_constant == 0 ? scaled : scale(tanh(scaled), decision.tanh_constant);
}

// One architecture's way through the decisions, on the tape.
class Recording {
 public:
  Recording(const ControllerVars& weights, const DecisionList& list,
            std::span<const int32_t> choices, const ScoreOptions& want)
      : w_(weights),
        choices_(choices),
        want_(want),
        zero_(Tensor::zeros(w_.start.shape(), dtype(), device())),
        anchors_(static_cast<size_t>(list.zero_anchors), zero_),
        keys_(anchors_),
        state_{zero_, zero_} {}

  void step(const Decision& decision) {
    state_ = lstm_cell(input(decision.input), state_, w_.lstm);
    if (decision.kind == Decision::Kind::skips) decide_skips(decision);
    if (decision.kind == Decision::Kind::index) decide_index(decision);
    if (decision.kind == Decision::Kind::op) decide_op(decision);
    if (!decision.leaves_anchor) return;
    anchors_.push_back(decision.zero_anchor ? zero_ : state_.h);
    keys_.push_back(matmul(state_.h, w_.key));
  }

  ControllerScores score() const {
    check(decided_ == choices_.size(), kOp, "architecture has ", choices_.size(),
          " choices, the policy decides ", decided_);
    ControllerScores score;
    score.log_prob = sum(concat_rows(log_probs_));
    if (want_.entropy) score.entropy = sum(concat_rows(entropies_));
    if (!penalties_.empty()) score.skip_kl = mean_of(penalties_);
    return score;
  }

 private:
  DType dtype() const { return w_.start.dtype(); }
  Device device() const { return w_.start.value().device(); }
  Tensor constant(const std::vector<double>& values, const Shape& shape) const {
    return Tensor::from(values, shape, dtype()).to(device());
  }
  Tensor indices(std::vector<int32_t> values) const {
    const auto n = static_cast<int64_t>(values.size());
    return Tensor::from_indices(std::move(values), {n}).to(device());
  }

  Var input(Decision::From from) const {
    const auto& anchor = [this]() -> const Var& { return anchors_[last_index_]; };
    switch (from) {
      case Decision::From::start:
        return w_.start;
      case Decision::From::embedding:
        return gather_rows(w_.embedding, indices({last_op_}));
      case Decision::From::anchor:
        return scale(anchor(), 1 / (0.1 + last_distance_));
      case Decision::From::bare_anchor:
        return anchor();
      case Decision::From::skips:
        return skip_mean_;
    }
    return {};
  }

  std::span<const int32_t> take(const Decision& decision) {
    const auto n = static_cast<size_t>(choices_of(decision));
    check(decided_ + n <= choices_.size(), kOp, "architecture has only ", choices_.size(),
          " choices");
    decided_ += n;
    return choices_.subspan(decided_ - n, n);
  }

  // v . tanh(key_j + h W2) of the candidates, [count, 1].
  Var attention(const Decision& decision) const {
    const auto candidates = std::span(keys_).subspan(static_cast<size_t>(decision.first_anchor),
                                                     static_cast<size_t>(decision.count));
    const Var attended = tanh(add_row(concat_rows(candidates), matmul(state_.h, w_.query)));
    return matmul(attended, w_.score);
  }

  // logits [n, candidates], a row a choice.
  void decide(const Var& logits, const Tensor& choices) {
    log_probs_.push_back(pick(log_softmax(logits), choices));
    if (want_.entropy) entropies_.push_back(entropy(logits));
  }

  void decide_one(const Decision& decision, const Var& bare, int32_t choice) {
    Var logits = bounded(bare, decision);
    const std::vector<double> offsets = offsets_of(decision);
    if (!offsets.empty()) logits = add(logits, constant(offsets, {1, decision.count}));
    decide(logits, indices({choice}));
  }

  void decide_index(const Decision& decision) {
    const int32_t choice = take(decision)[0];
    decide_one(decision, reshape(attention(decision), {1, decision.count}), choice);
    last_index_ = static_cast<size_t>(decision.first_anchor + choice);
    last_distance_ = decision.count - choice;
  }

  void decide_op(const Decision& decision) {
    const bool own = w_.output.value().defined();
    Var logits = own ? matmul(state_.h, w_.output)
                     : matmul(state_.h, slice_rows(w_.embedding, 0, decision.count), Transpose::no,
                              Transpose::yes);
    if (w_.bias.value().defined()) logits = add_row(logits, w_.bias);
    last_op_ = take(decision)[0];
    decide_one(decision, logits, last_op_);
  }

  void decide_skips(const Decision& decision) {
    const Var yes = bounded(attention(decision), decision);
    const Var logits = concat_columns(neg(yes), yes);
    const std::span<const int32_t> bits = take(decision);
    decide(logits, indices({bits.begin(), bits.end()}));
    if (want_.skip_penalty) penalties_.push_back(penalty(logits, *want_.skip_penalty));
    const auto first = static_cast<size_t>(decision.first_anchor);
    const double chosen = std::accumulate(bits.begin(), bits.end(), 0);
    std::vector<double> shares;
    for (const int32_t bit : bits) shares.push_back(bit / (1 + chosen));
    skip_mean_ = matmul(constant(shares, {1, decision.count}),
                        concat_rows(std::span(anchors_).subspan(first, bits.size())));
  }

  // sum of p (log p - log target); logits [n, 2].
  Var penalty(const Var& logits, const SkipPenalty& wanted) const {
    const Var log_p = wanted.elementwise_sigmoid ? log(sigmoid(logits)) : log_softmax(logits);
    const Tensor targets =
        constant({-std::log(1 - wanted.target), -std::log(wanted.target)}, {1, 2});
    return sum(mul(exp(log_p), add_row(log_p, targets)));
  }

  const ControllerVars& w_;
  std::span<const int32_t> choices_;
  const ScoreOptions& want_;
  Var zero_;
  std::vector<Var> anchors_, keys_;
  LstmState state_;
  std::vector<Var> log_probs_, entropies_, penalties_;
  Var skip_mean_;
  int32_t last_op_ = 0, last_distance_ = 0;
  size_t last_index_ = 0, decided_ = 0;
};

}  // namespace

ControllerScores controller_record(const ControllerVars& weights, const DecisionList& list,
                                   std::span<const int32_t> choices, const ScoreOptions& want) {
  Recording recording(weights, list, choices, want);
  for (const Decision& decision : list.steps) recording.step(decision);
  return recording.score();
}

}  // namespace enas
