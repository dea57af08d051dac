// The controller: an LSTM that decides an architecture one choice at a time, attending over anchors
// of earlier steps. Two forms of one policy read the same decision list: sample() (no tape, many
// architectures at once) and log_prob() on the tape. Source: docs/method.md sections
// 1.3, 2.2 and 3.3.
#pragma once
#include <cstdint>
#include <span>

#include "autograd/tape.h"
#include "nas/architecture.h"
#include "nn/parameter.h"
#include "ops/controller_score.h"

namespace enas {

struct ControllerOptions {
  int hidden = 64;
  double init_range = 0.01;  // weights start uniform in +-range
};

class Controller {
 public:
  // operations: rows of the embedding. dtype f32, or f64 for tests. The same initial weights on
  // every device.
  Controller(DecisionList list, int operations, const ControllerOptions& options, uint64_t seed,
             DType dtype = DType::f32, Device device = Device::cpu);

  const DecisionList& decisions() const { return list_; }
  ParameterStore& parameters() { return parameters_; }
  ControllerWeights weights() const;
  // Architectures first_sample .. first_sample + samples - 1 of the sequence that `random` names.
  Rollout sample(int64_t samples, const Random& random, int64_t first_sample = 0,
                 Trace trace = Trace::dropped) const;

  // Of one architecture, recorded step by step: scalars.
  using Score = ControllerScores;
  Score log_prob(Tape& tape, const Architecture& arch, const ScoreOptions& want = {});
  // Of many, [architectures] each: on the CPU as one op.
  Score log_probs(Tape& tape, std::span<const Architecture> architectures,
                  const ScoreOptions& want = {});

 private:
  ControllerVars vars(Tape& tape);

  DecisionList list_;
  size_t choices_;  // of an architecture
  ParameterStore parameters_;
};

// Entropy of a path, nats: the extremes that logits bounded by C tanh(.) minus the distance bias
// allow. Without a bound 0 and sum of log(count).
struct EntropyBounds {
  double lowest = 0, highest = 0;
};
EntropyBounds entropy_bounds(const DecisionList& list);

}  // namespace enas
