// Random search at equal budget: the same shared steps on uniformly sampled architectures, and the
// controller phase's evaluations spent on scoring uniform candidates, of which the best join
// derive's sample. Source: docs/method.md "What we implement" (random at equal budget).
#pragma once
#include <map>
#include <string>
#include <vector>

#include "nas/derive.h"
#include "tensor/tensor.h"

namespace enas {

// The best of all candidates scored so far, by reward, highest first; an architecture seen again
// keeps its mean reward.
class ScoredCandidates {
 public:
  void add(const Architecture& arch, double reward);
  size_t size() const { return scored_.size(); }
  // The first n, distinct.
  std::vector<Architecture> best(size_t n) const;
  // For checkpoint and shared.safetensors: PREFIX + "choices" (i32 [n, decisions]), "rewards" and
  // "counts" (f64 [n]).
  void state(std::map<std::string, Tensor>& out, const std::string& prefix) const;
  void load_state(const std::map<std::string, Tensor>& in, const std::string& prefix);

 private:
  struct Score {
    double sum = 0;
    int64_t count = 0;
    double mean() const { return sum / static_cast<double>(count); }
  };
  std::map<Architecture, Score> scored_;
};

// derive's candidates under random search: up to n of the best scored ones and n fresh uniform
// ones, without duplicates, none from a controller.
std::vector<Candidate> random_candidates(const ScoredCandidates& scored, const DecisionList& list,
                                         int64_t n, uint64_t seed);

}  // namespace enas
