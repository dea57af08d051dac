// Architecture: the plain integers of a space, in the order in which the controller decides them. A
// space gives them meaning; controller, REINFORCE, search and derive see nothing else of it
// (concept Space).
#pragma once
#include <concepts>
#include <cstdint>
#include <string>
#include <vector>

#include "ops/controller_rollout.h"

namespace enas {

struct Architecture {
  std::vector<int32_t> choices;
  bool operator==(const Architecture&) const = default;
  auto operator<=>(const Architecture&) const = default;
};

// How the policy bounds and biases its logits. The defaults are the recurrent space's
// (docs/method.md section 1.3, column [L]); the others say theirs (policy_shape()).
struct PolicyShape {
  double temperature = 5;
  double tanh_constant = 2.25;     // C; 0: not bounded
  double distance_bias = 1.0 / 6;  // of index decisions, times the squared distance
  // Micro space alone (docs/method.md section 3.3): C of operations is divided by op_reduce; in the
  // normal cell op_bias favours the separable ones; the learned bias of these starts at start_bias.
  double op_reduce = 1, op_bias = 0, start_bias = 0;
};

// What controller, search and derive ask of a space. parse() refuses text (kind usage) naming the
// first bad token, and round-trips with to_string(). operations(): rows of the controller's
// embedding. The child is the space's own function (architecture, tape, input) -> Var.
template <class S>
concept Space = requires(const S space, const Architecture& arch, const std::string& text,
                         const PolicyShape& shape) {
  { space.decisions(shape) } -> std::same_as<DecisionList>;
  { space.operations() } -> std::convertible_to<int>;
  { space.parse(text) } -> std::same_as<Architecture>;
  { space.to_string(arch) } -> std::same_as<std::string>;
};

// The architectures of a rollout, one a sample.
inline std::vector<Architecture> architectures_of(const Rollout& rollout) {
  std::vector<Architecture> list;
  for (int64_t s = 0; s < rollout.samples; ++s) {
    const auto first = rollout.actions.begin() + s * rollout.decisions;
    list.push_back({std::vector<int32_t>(first, first + rollout.decisions)});
  }
  return list;
}

// Each choice uniform among its candidates: the baseline that a controller has to beat.
std::vector<Architecture> uniform_architectures(const DecisionList& list, int64_t samples,
                                                const Random& random, int64_t first_sample = 0);

}  // namespace enas
