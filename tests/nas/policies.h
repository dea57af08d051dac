// What the tests of the policy share: every architecture of a small space, and weights of any size.
#pragma once
#include <cmath>
#include <vector>

#include "nas/controller.h"
#include "nas/rnn/space.h"

namespace enas::test {

// All architectures of a decision list, the last choice running fastest.
inline std::vector<Architecture> enumerate(const DecisionList& list) {
  std::vector<Architecture> all(1);
  for (const int32_t candidates : choice_counts(list)) {
    std::vector<Architecture> longer;
    for (const Architecture& arch : all) {
      for (int32_t choice = 0; choice < candidates; ++choice) {
        longer.push_back(arch);
        longer.back().choices.push_back(choice);
      }
    }
    all = std::move(longer);
  }
  return all;
}

// A controller of a space whose weights are uniform in +-range.
template <Space S>
Controller controller_of(const S& space, double range, int hidden, uint64_t seed,
                         DType dtype = DType::f64, const PolicyShape& shape = {}) {
  return Controller(space.decisions(shape), space.operations(), {hidden, range}, seed, dtype);
}

}  // namespace enas::test
