#include "nas/rnn/task.h"

#include <cmath>

#include "ops/grad_norm.h"

namespace enas {
namespace {
constexpr int64_t kEvalWindow =
    128;  // tokens a window of a single stream: only memory depends on it
}  // namespace

double TextScore::perplexity() const { return std::exp(loss()); }

RnnTask::RnnTask(RnnChild& child, const RnnTaskOptions& options, std::span<const int32_t> train,
                 std::span<const int32_t> valid, int32_t eos)
    : child_(child),
      options_(options),
      eos_(eos),
      train_(train, options.batch, eos),
      valid_(valid, options.reward_batch, eos),
      reward_windows_(
          WindowPlan(WindowPlan::Kind::whole, valid_.length(), options.bptt, options.seed)
              .epoch(0)) {
  reset_state();
  reward_state_ = child_.zero_state(options.reward_batch);
}

void RnnTask::reset_state() { state_ = child_.zero_state(options_.batch); }

Var RnnTask::train_loss(Tape& tape, const Architecture& arch, const TextWindow& window,
                        uint64_t draw) {
  const RnnMasks masks =
      draw_masks(child_.options(), options_.batch, options_.seed, draw, child_.dtype());
  RnnChild::Pass pass = child_.run(tape, arch, window, state_, masks);
  if (!next_state_.defined()) {
    next_state_ = std::move(pass.state);
    cross_entropy_ = 0;
    losses_ = 0;
  }
  cross_entropy_ += pass.cross_entropy.value().item();
  ++losses_;
  return pass.loss;
}

void RnnTask::finish_step(const Tensor& gate) {
  if (gate.item(kGateFinite) != 0) {
    state_ = std::move(next_state_);
  } else {
    reset_state();
  }
  next_state_ = Tensor();
}

TextScore RnnTask::score_windows(const Architecture& arch, const TextStreams& streams,
                                 std::span<const WindowSpan> windows) {
  const Tape::NoGrad no_grad(scoring_);
  Tensor state = child_.zero_state(streams.batch());
  TextScore score;
  for (const WindowSpan& span : windows) {
    const TextWindow window = streams.window(span.start, span.length);
    const RnnChild::Pass pass = child_.run(scoring_, arch, window, state);
    const int64_t tokens = window.length * window.batch;
    score.nll += pass.cross_entropy.value().item() * static_cast<double>(tokens);
    score.tokens += tokens;
    state = pass.state;
  }
  return score;
}

double RnnTask::reward(const Architecture& arch, uint64_t sample) {
  const WindowSpan& span = reward_windows_[static_cast<size_t>(sample % reward_windows_.size())];
  if (!options_.reward_dropout) {
    return options_.reward_scale / score_windows(arch, valid_, {&span, 1}).perplexity();
  }
  const Tape::NoGrad no_grad(scoring_);
  // Masks that no training step draws: their numbers count down from the top.
  const RnnMasks masks = draw_masks(child_.options(), options_.reward_batch, options_.seed,
                                    ~uint64_t{0} - sample, child_.dtype());
  const RnnChild::Pass pass =
      child_.run(scoring_, arch, valid_.window(span.start, span.length), reward_state_, masks);
  const double reward = options_.reward_scale / std::exp(pass.cross_entropy.value().item());
  // As finish_step: what is not finite is never carried on.
  if (std::isfinite(reward)) {
    reward_state_ = pass.state;
  } else {
    reward_state_.fill(0);
  }
  return reward;
}

TextScore RnnTask::score(const Architecture& arch, int64_t windows) {
  const auto all = std::span<const WindowSpan>(reward_windows_);
  const size_t most = all.size();
  return score_windows(
      arch, valid_, all.first(windows > 0 ? std::min(static_cast<size_t>(windows), most) : most));
}

TextScore RnnTask::evaluate(const Architecture& arch, std::span<const int32_t> tokens) {
  const TextStreams stream(tokens, 1, eos_);
  const WindowPlan plan(WindowPlan::Kind::whole, stream.length(), kEvalWindow, options_.seed);
  return score_windows(arch, stream, plan.epoch(0));
}

}  // namespace enas
