#include "ops/sample.h"

#include <cmath>
#include <vector>

#include "tensor/dispatch.h"
#include "tensor/thread_pool.h"

namespace enas {

CategoricalResult sample_categorical(const Tensor& logits, const Random& random,
                                     uint64_t first_index) {
  check(logits.rank() == 2 && logits.size(1) >= 1, "sample_categorical",
        "needs [rows, n] with n >= 1, got ", logits.shape());
  const Shape rows{logits.size(0)};
  CategoricalResult out{Tensor(rows, DType::i32), Tensor(rows, DType::f64),
                        Tensor(rows, DType::f64)};
  dispatch<cpu::sample_categorical>(logits, random, first_index, out);
  return out;
}

cpu::Choice cpu::choose(std::span<const double> logits, double uniform) {
  double top = -INFINITY, total = 0, mean = 0;  // mean: of logit - top, times total
  for (const double x : logits) top = std::max(top, x);
  for (const double x : logits) {
    const double e = std::exp(x - top);
    total += e;
    mean += e == 0 ? 0 : e * (x - top);
  }
  check(std::isfinite(top) && std::isfinite(total), ErrorKind::diverged, "sample_categorical",
        "logits are not finite (largest ", top, ", partition sum ", total,
        "); try a smaller learning rate");
  // Rounding can leave the last partial sum below `target`: then the last possible action is taken.
  const double target = uniform * total;
  double sum = 0;
  size_t action = 0;
  for (size_t j = 0; j < logits.size(); ++j) {
    const double e = std::exp(logits[j] - top);
    if (e == 0) continue;
    action = j;
    if ((sum += e) > target) break;
  }
  const double log_total = std::log(total);
  return {static_cast<int32_t>(action), logits[action] - top - log_total, log_total - mean / total};
}

void cpu::sample_categorical(const Tensor& logits, const Random& random, uint64_t first_index,
                             CategoricalResult& out) {
  const int64_t rows = logits.size(0), n = logits.size(1);
  int32_t* actions = out.actions.data<int32_t>();
  double *log_prob = out.log_prob.data<double>(), *entropy = out.entropy.data<double>();
  visit_real(logits.dtype(), "sample_categorical", [&](auto tag) {
    const auto* x = logits.data<decltype(tag)>();
    parallel_for(rows, 512 / n + 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const std::vector<double> row(x + r * n, x + (r + 1) * n);
        const Choice choice = choose(row, random.uniform53(first_index + static_cast<uint64_t>(r)));
        actions[r] = choice.action;
        log_prob[r] = choice.log_prob;
        entropy[r] = choice.entropy;
      }
    });
  });
}

}  // namespace enas
