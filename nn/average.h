// Running mean of weights: avg += (w - avg) / (n + 1) after each step from a given step on, or from
// the epoch at which validation stops improving (NT-ASGD; Merity, Keskar, Socher 2018).
#pragma once
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "autograd/parameter.h"

namespace enas {

struct AverageOptions {
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
  int64_t start_step = kNever;  // the first step whose weights count; kNever: only the trigger
  // Trigger: a loss worse than the best of all earlier evaluations but the last `window` of them;
  // 0: no trigger.
  int64_t window = 0;
};

class WeightAverage {
 public:
  explicit WeightAverage(AverageOptions options = {}) : options_(options) {}

  // After each optimizer step: folds the weights in if averaging has begun. A closed gate changes
  // nothing. `all` must be the same parameters each time.
  void update(std::span<Parameter* const> all, int64_t step, const Tensor& gate);
  // One validation loss (or perplexity). True where this one starts averaging.
  bool observe(double loss);
  bool started() const { return !averages_.empty(); }

  // Exchanges the values of weights and averages in place; once more brings them back. Averages
  // are changed only while swapped out.
  void swap(std::span<Parameter* const> all);
  bool swapped() const { return swapped_; }
  // Evaluates with averages inside a scope (with the weights themselves if averaging has not
  // begun); comes back also when an exception leaves it.
  class Scope {
   public:
    Scope(WeightAverage& average, std::span<Parameter* const> all);
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope();

   private:
    WeightAverage& average_;
    std::vector<Parameter*> all_;
  };

  // For the checkpoint: PREFIX + "average." + parameter name, PREFIX + "count" (f64 [1]), "history"
  // (f64 [evaluations]), "triggered" (f64 [1]). Shared handles; load_state copies.
  void state(std::map<std::string, Tensor>& out, const std::string& prefix) const;
  void load_state(const std::map<std::string, Tensor>& in, const std::string& prefix);

 private:
  Tensor& average_of(const Parameter& p);
  AverageOptions options_;
  std::map<std::string, Tensor, std::less<>> averages_;
  Tensor count_;  // f64 [1], on the device: a closed gate does not count
  std::vector<double> history_;
  bool triggered_ = false;
  bool swapped_ = false;
};

}  // namespace enas
