// The recurrent child with its text: what search, derive, train and eval run (concept of
// nas/search.h). Source: docs/method.md sections 1.1 (streams, carried state), 1.3 (reward), "What
// we implement" (validation sets are fixed, eval on text).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "data/loader.h"
#include "nas/rnn/child.h"
#include "tensor/readback.h"

namespace enas {

struct RnnTaskOptions {
  int64_t batch = 64;         // streams of training text
  int64_t reward_batch = 64;  // streams of validation text, for rewards, derive and validation
  int64_t bptt = 35;
  uint64_t seed = 1;
  double reward_scale = 80;  // reward = scale / perplexity of one validation window
  // Parity switch reward-dropout: rewards with dropout, from the state that the architecture before
  // left.
  bool reward_dropout = false;
};

// Total negative log-likelihood, nats, over a number of tokens.
struct TextScore {
  double nll = 0;
  int64_t tokens = 0;
  double loss() const { return nll / static_cast<double>(tokens); }
  double perplexity() const;
};

// Cross-entropies on their way to the host.
class UnreadScore {
 public:
  void add(const Tensor& cross_entropy, int64_t tokens);
  TextScore read() const;  // waits for them

 private:
  std::vector<Readback> means_;
  std::vector<int64_t> tokens_;
};

class RnnTask {
 public:
  // The token lists must outlive the task. Refuses (usage) a batch that leaves no window.
  RnnTask(RnnChild& child, const RnnTaskOptions& options, std::span<const int32_t> train,
          std::span<const int32_t> valid, int32_t eos);

  // Of shared_step: the loss on a window from the carried state. With several architectures a step,
  // the first one's state is carried on.
  Var train_loss(Tape& tape, const Architecture& arch, const TextWindow& window, uint64_t draw);
  void finish_step(const Tensor& gate);  // a step that was not finite leaves a zero state
  std::vector<Parameter*> all_parameters() { return child_.parameters().all(); }
  // Cross-entropy of the last step, without regularisers: its loss() is the mean over the
  // architectures.
  UnreadScore last_cross_entropy() const;
  // Carried state: zeroed where an epoch begins, saved in the checkpoint.
  void reset_state();
  Tensor& state() { return state_; }
  Tensor& reward_state() { return reward_state_; }  // carried under reward_dropout

  // Of controller_step: reward_scale / perplexity of each architecture on a validation window of
  // its own, number first, first + 1, ... (cyclic), state zero, no dropout. Only windows of bptt
  // positions, unless there is none: from a zero state a shorter one scores worse.
  std::vector<double> rewards(std::span<const Architecture> architectures, uint64_t first);
  // The whole validation text by batched streams, state carried from zero, no dropout; windows > 0:
  // only the first ones.
  TextScore score(const Architecture& arch, int64_t windows = 0);
  // One stream, every token predicted once, context starting with <eos>: the figure that is
  // reported.
  TextScore evaluate(const Architecture& arch, std::span<const int32_t> tokens);

  RnnChild& child() { return child_; }
  const TextStreams& train_streams() const { return train_; }
  int64_t reward_windows() const { return reward_windows_; }
  int64_t valid_windows() const { return static_cast<int64_t>(valid_windows_.size()); }
  const RnnTaskOptions& options() const { return options_; }

 private:
  UnreadScore score_windows(const Architecture& arch, const TextStreams& streams,
                            std::span<const WindowSpan> windows);
  const WindowSpan& reward_window(uint64_t sample) const {
    return valid_windows_[static_cast<size_t>(sample % static_cast<uint64_t>(reward_windows_))];
  }
  UnreadScore score_with_dropout(const Architecture& arch, uint64_t sample);

  RnnChild& child_;
  RnnTaskOptions options_;
  int32_t eos_;
  TextStreams train_, valid_;
  std::vector<WindowSpan> valid_windows_;
  int64_t reward_windows_;               // the first so many of them, of full length
  Tensor state_;                         // [batch, H]
  Tensor reward_state_;                  // [reward_batch, H]
  Tensor next_state_;                    // of the step being made
  std::vector<Tensor> cross_entropies_;  // of the step being made or made last
  int64_t tokens_ = 0;                   // of its window
  // Nothing is recorded on it. It keeps packed weights from one evaluation to the next, for while
  // the controller is trained they do not change. Training has the room back.
  Tape scoring_;
  Tape::NoGrad unrecorded_{scoring_};
};

}  // namespace enas
