#include "nas/rnn/task.h"

#include <algorithm>
#include <cmath>

#include "ops/gate_state.h"

namespace enas {
namespace {
// Tokens a window of a single stream: only memory depends on it.
constexpr int64_t kEvalWindow = 128;
// Of packed weights, from one evaluation to the next: enough for all of hidden 1000 with a matrix
// an edge, and together no more than a training step takes there.
constexpr int64_t kKeptPacked = int64_t{600} << 20;
}  // namespace

double TextScore::perplexity() const { return std::exp(loss()); }

void UnreadScore::add(const Tensor& cross_entropy, int64_t tokens) {
  means_.emplace_back(cross_entropy);
  tokens_.push_back(tokens);
}

TextScore UnreadScore::read() const {
  TextScore score;
  if (!means_.empty()) means_.back().values();  // one wait: the copies before have arrived then
  for (size_t k = 0; k < means_.size(); ++k) {
    score.nll += means_[k].values()[0] * static_cast<double>(tokens_[k]);
    score.tokens += tokens_[k];
  }
  return score;
}

RnnTask::RnnTask(RnnChild& child, const RnnTaskOptions& options, std::span<const int32_t> train,
                 std::span<const int32_t> valid, int32_t eos)
    : child_(child),
      options_(options),
      eos_(eos),
      train_(train, options.batch, eos),
      valid_(valid, options.reward_batch, eos),
      valid_windows_(
          WindowPlan(WindowPlan::Kind::whole, valid_.length(), options.bptt, options.seed)
              .epoch(0)),
      reward_windows_(std::max<int64_t>(1, valid_.length() / options.bptt)) {
  reset_state();
  reward_state_ = child_.zero_state(options.reward_batch);
}

void RnnTask::reset_state() { state_ = child_.zero_state(options_.batch); }

Var RnnTask::train_loss(Tape& tape, const Architecture& arch, const TextWindow& window,
                        uint64_t draw) {
  scoring_.packed_weights().clear();
  const RnnMasks masks = draw_masks(child_.options(), options_.batch, options_.seed, draw,
                                    child_.dtype(), child_.device());
  RnnChild::Pass pass = child_.run(tape, arch, window, state_, masks);
  if (!next_state_.defined()) {
    next_state_ = std::move(pass.state);
    cross_entropies_.clear();
    tokens_ = window.length * window.batch;
  }
  cross_entropies_.push_back(pass.cross_entropy.value());
  return pass.loss;
}

UnreadScore RnnTask::last_cross_entropy() const {
  UnreadScore score;
  for (const Tensor& one : cross_entropies_) score.add(one, tokens_);
  return score;
}

void RnnTask::finish_step(const Tensor& gate) {
  state_ = std::move(next_state_);
  next_state_ = Tensor();
  gate_state(state_, gate);
}

UnreadScore RnnTask::score_windows(const Architecture& arch, const TextStreams& streams,
                                   std::span<const WindowSpan> windows) {
  Tensor state = child_.zero_state(streams.batch());
  UnreadScore score;
  for (const WindowSpan& span : windows) {
    const TextWindow window = streams.window(span.start, span.length);
    const RnnChild::Pass pass = child_.run(scoring_, arch, window, state);
    score.add(pass.cross_entropy.value(), window.length * window.batch);
    state = pass.state;
  }
  scoring_.packed_weights().keep_latest(kKeptPacked);
  return score;
}

UnreadScore RnnTask::score_with_dropout(const Architecture& arch, uint64_t sample) {
  const WindowSpan& span = reward_window(sample);
  const TextWindow window = valid_.window(span.start, span.length);
  // Masks that no training step draws: their numbers count down from the top.
  const RnnMasks masks = draw_masks(child_.options(), options_.reward_batch, options_.seed,
                                    ~uint64_t{0} - sample, child_.dtype(), child_.device());
  const RnnChild::Pass pass = child_.run(scoring_, arch, window, reward_state_, masks);
  reward_state_ = pass.state;
  scoring_.packed_weights().keep_latest(kKeptPacked);
  // As finish_step, by a gate that only the loss can close.
  gate_state(reward_state_, grad_norm({}, 0, pass.cross_entropy.value()));
  UnreadScore score;
  score.add(pass.cross_entropy.value(), window.length * window.batch);
  return score;
}

std::vector<double> RnnTask::rewards(std::span<const Architecture> architectures, uint64_t first) {
  std::vector<UnreadScore> scores;
  for (const Architecture& arch : architectures) {
    const uint64_t sample = first + scores.size();
    scores.push_back(options_.reward_dropout
                         ? score_with_dropout(arch, sample)
                         : score_windows(arch, valid_, {&reward_window(sample), 1}));
  }
  if (!scores.empty()) scores.back().read();  // one wait: those before have arrived then
  std::vector<double> list;
  for (const UnreadScore& score : scores)
    list.push_back(options_.reward_scale / score.read().perplexity());
  return list;
}

TextScore RnnTask::score(const Architecture& arch, int64_t windows) {
  const auto all = std::span<const WindowSpan>(valid_windows_);
  const size_t most = all.size();
  return score_windows(arch, valid_,
                       all.first(windows > 0 ? std::min(static_cast<size_t>(windows), most) : most))
      .read();
}

TextScore RnnTask::evaluate(const Architecture& arch, std::span<const int32_t> tokens) {
  const TextStreams stream(tokens, 1, eos_);
  const WindowPlan plan(WindowPlan::Kind::whole, stream.length(), kEvalWindow, options_.seed);
  return score_windows(arch, stream, plan.epoch(0)).read();
}

}  // namespace enas
