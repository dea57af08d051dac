// The way of architectures through the decisions of the policy, drawn or given: what
// controller_rollout and controller_score both walk, on the CPU, some samples together. All
// arithmetic is in double, whatever the weights' dtype: a sample has the same bits drawn, given,
// alone or beside others. Internal to ops/.
#pragma once
#include <memory>

#include "ops/controller_plan.h"
#include "ops/walk_rows.h"

namespace enas {

inline int walk_chunks(int64_t samples) {
  return static_cast<int>((samples + kWalkRows - 1) / kWalkRows);
}

// What a gradient needs of a walk: rows rounded to the weights' dtype, logits and slopes as they
// are; S samples, T steps.
template <class T>
struct WalkState {
  T *h, *c;        // [T + 1, S, h], the first zero
  T* gates;        // [T, S, 4h]
  T* attended;     // [attended, S, h] tanh(key + query)
  double* logits;  // [logits, S]
  double* slopes;  // [logits, S] d logit / d (product before the bound)
};

// A walk that was made, and of what.
struct ControllerTrace {
  DecisionList list;
  ControllerPlan plan;
  ControllerWeights weights;
  std::vector<uint32_t> versions;  // of the weights
  int64_t samples;
  std::vector<int32_t> actions;           // [samples, choices]
  std::vector<double> log_prob, entropy;  // [samples]
  Tensor rows, numbers;                   // what state() points into

  ControllerTrace(const ControllerWeights& w, const DecisionList& l, int64_t s);
  template <class T>
  WalkState<T> state() const;
  // Whether these weights, as they are now, and these choices would leave the same.
  bool is_of(const ControllerWeights& w, const DecisionList& l,
             const std::vector<int32_t>& choices) const;
};

// Walks out.samples architectures and fills in out's sums. random: draws their actions, as
// controller_rollout says; null: follows them.
void controller_walk(const ControllerWeights& weights, const DecisionList& list,
                     const Random* random, int64_t first_sample, Rollout& out);
// The same, traced.
std::shared_ptr<const ControllerTrace> controller_trace(const ControllerWeights& weights,
                                                        const DecisionList& list,
                                                        const Random* random, int64_t first_sample,
                                                        Rollout& out);

}  // namespace enas
