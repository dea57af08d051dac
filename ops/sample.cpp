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
  const Device device = logits.device();
  CategoricalResult out{Tensor(rows, DType::i32, device), Tensor(rows, DType::f64, device),
                        Tensor(rows, DType::f64, device)};
  dispatch<cpu::sample_categorical, cuda::sample_categorical>(logits, random, first_index, out);
  return out;
}

cpu::Choice cpu::choose(std::span<const double> logits, double uniform) {
  const auto n = static_cast<int32_t>(logits.size());
  const Partition row = partition(logits.data(), n);
  check(row.usable(), ErrorKind::diverged, "sample_categorical", "logits are not finite (largest ",
        row.top, ", partition sum ", row.total, "); try a smaller learning rate");
  return enas::choose(logits.data(), n, row, uniform);
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
