// Derive: candidates from the trained policy and as many uniform ones, scored with the shared
// weights on held-out data, ranked without duplicates. Source: the paper, section 2.2;
// docs/method.md "What we implement" (best, derive), section 4.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "nas/controller.h"

namespace enas {

struct Candidate {
  Architecture arch;
  bool from_controller = true;  // one in both groups counts as the controller's
  double score = 0;             // with shared weights; set by the caller
};

// Up to n distinct architectures of each group, in turn, so that a derive cut short has as many of
// either: samples that repeat an earlier one, or uniform ones that the controller drew too, are
// left out, so a group may be smaller than n.
std::vector<Candidate> derive_candidates(const Controller& controller, int64_t n, uint64_t seed);

enum class Better { lower, higher };
// Best first; ties keep their order. A score that is not finite comes last.
std::vector<Candidate> rank(std::vector<Candidate> candidates, Better better);

struct GroupStatistics {
  size_t size = 0;                 // of those with a finite score
  double mean = 0, deviation = 0;  // sample standard deviation; 0 for fewer than two
};
GroupStatistics statistics_of(std::span<const Candidate> candidates, bool from_controller);
// "controller 18: mean 412.1, sd 9.3; uniform 20: mean 430.0, sd 12.2; difference -17.9 (2 standard
// errors 6.9)", each number by `show`.
std::string compare_groups(std::span<const Candidate> candidates,
                           const std::function<std::string(double)>& show);

}  // namespace enas
