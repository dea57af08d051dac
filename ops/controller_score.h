// Log-probability, entropy and skip penalty of given architectures under the LSTM policy: the walk
// of ops/controller_rollout.h with its choices given, on the CPU all samples in one op (in double,
// its states kept for the gradient in the weights' dtype). With logits l of a choice a, p =
// softmax(l):
//   log_prob = sum log p_a        entropy = sum -p log p        (over all choices)
//   skip_kl  = mean over `skips` steps of sum KL(p || target)
// backward is the chain rule through all decisions and LSTM steps; nothing is recorded in between.
// Source: docs/method.md sections 1.3, 2.2 and 3.3.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "autograd/tape.h"
#include "ops/controller_rollout.h"

namespace enas {

// As ControllerWeights; output and bias may be undefined.
struct ControllerVars {
  Var start, embedding, lstm, key, query, score, output, bias;
};

// KL(policy || target) of the two-way softmax of each skip, summed over the candidates of a layer,
// averaged over the layers that have any (docs/method.md section 2.2).
struct SkipPenalty {
  double target = 0.4;               // of P(skip)
  bool elementwise_sigmoid = false;  // of both logits instead of the softmax (switch kl-sigmoid)
};

struct ScoreOptions {  // what is wanted beside the log-probability
  bool entropy = false;
  std::optional<SkipPenalty> skip_penalty = {};
  // Of the rollout that drew these choices. While the weights are what they were then, its states
  // are those that the forward walk would leave, to the bit, and it is spared.
  std::shared_ptr<const ControllerTrace> trace = nullptr;
};

struct ControllerScores {
  Var log_prob;
  Var entropy;  // undefined unless asked for
  Var skip_kl;  // undefined unless asked for and where nothing is skipped
};

// choices [samples, choices of an architecture] -> [samples] each. Refuses choices that are not the
// list's (internal). On a GPU the small ops of controller_record for each sample.
ControllerScores controller_score(const ControllerVars& weights, const DecisionList& list,
                                  std::vector<int32_t> choices, const ScoreOptions& want = {});

// The same of one architecture, by small ops on the tape: scalars. The other form is held to it.
ControllerScores controller_record(const ControllerVars& weights, const DecisionList& list,
                                   std::span<const int32_t> choices, const ScoreOptions& want = {});

}  // namespace enas
