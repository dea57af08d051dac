#include "nas/architecture.h"

namespace enas {

std::vector<Architecture> uniform_architectures(const DecisionList& list, int64_t samples,
                                                const Random& random, int64_t first_sample) {
  const std::vector<int32_t> counts = choice_counts(list);
  std::vector<Architecture> architectures(static_cast<size_t>(samples));
  for (size_t s = 0; s < architectures.size(); ++s) {
    for (size_t d = 0; d < counts.size(); ++d) {
      const uint64_t index = (static_cast<uint64_t>(first_sample) + s) * counts.size() + d;
      architectures[s].choices.push_back(
          static_cast<int32_t>(random.below(static_cast<uint32_t>(counts[d]), index)));
    }
  }
  return architectures;
}

}  // namespace enas
