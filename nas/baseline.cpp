#include "nas/baseline.h"

#include <algorithm>
#include <set>

namespace enas {

void ScoredCandidates::add(const Architecture& arch, double reward) {
  Score& score = scored_[arch];
  score.sum += reward;
  ++score.count;
}

std::vector<Architecture> ScoredCandidates::best(size_t n) const {
  std::vector<std::pair<double, const Architecture*>> order;
  for (const auto& [arch, score] : scored_) order.emplace_back(score.mean(), &arch);
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<Architecture> list;
  for (size_t i = 0; i < std::min(n, order.size()); ++i) list.push_back(*order[i].second);
  return list;
}

void ScoredCandidates::state(std::map<std::string, Tensor>& out, const std::string& prefix) const {
  const auto n = static_cast<int64_t>(scored_.size());
  std::vector<int32_t> choices;
  std::vector<double> sums, counts;
  for (const auto& [arch, score] : scored_) {
    choices.insert(choices.end(), arch.choices.begin(), arch.choices.end());
    sums.push_back(score.sum);
    counts.push_back(static_cast<double>(score.count));
  }
  const int64_t decisions = n > 0 ? static_cast<int64_t>(choices.size()) / n : 0;
  out.emplace(prefix + "choices", Tensor::from_indices(choices, {n, decisions}));
  out.emplace(prefix + "rewards", Tensor::from(sums, {n}, DType::f64));
  out.emplace(prefix + "counts", Tensor::from(counts, {n}, DType::f64));
}

void ScoredCandidates::load_state(const std::map<std::string, Tensor>& in,
                                  const std::string& prefix) {
  const auto get = [&](const char* name) -> const Tensor& {
    const auto found = in.find(prefix + name);
    check(found != in.end(), ErrorKind::checkpoint, "random search", "lacks tensor ", prefix, name,
          "; expected one written under --strategy random");
    return found->second;
  };
  const Tensor &choices = get("choices"), &sums = get("rewards"), &counts = get("counts");
  const bool fits = choices.rank() == 2 && choices.dtype() == DType::i32 &&
                    sums.dtype() == DType::f64 && counts.dtype() == DType::f64 &&
                    sums.shape() == Shape{choices.size(0)} && counts.shape() == sums.shape();
  check(fits, ErrorKind::checkpoint, "random search", "tensors under ", prefix,
        " do not fit: choices ", choices.dtype(), " ", choices.shape(), ", rewards ", sums.shape(),
        ", counts ", counts.shape());
  scored_.clear();
  const int64_t decisions = choices.size(1);
  for (int64_t i = 0; i < choices.size(0); ++i) {
    const int32_t* row = choices.data<int32_t>() + i * decisions;
    scored_[Architecture{std::vector<int32_t>(row, row + decisions)}] = {
        sums.item(i), static_cast<int64_t>(counts.item(i))};
  }
}

std::vector<Candidate> random_candidates(const ScoredCandidates& scored, const DecisionList& list,
                                         int64_t n, uint64_t seed) {
  std::vector<Candidate> candidates;
  std::set<Architecture> seen;
  const auto add = [&](const std::vector<Architecture>& architectures) {
    for (const Architecture& arch : architectures) {
      if (seen.insert(arch).second) candidates.push_back({arch, false, 0});
    }
  };
  add(scored.best(static_cast<size_t>(n)));
  add(uniform_architectures(list, n, Random{seed, Stream::uniform_sample, 0}));
  return candidates;
}

}  // namespace enas
