#include "ops/linear_cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/matmul.h"
#include "ops/row_statistics.h"
#include "ops/softmax_cross_entropy.h"
#include "tensor/isa.h"
#include "tensor/packed_gemm.h"
#include "tensor/thread_pool.h"

namespace enas {

ISA_SELECT(running_statistics, void(int64_t rows, int64_t columns, const float* tile,
                                    int64_t stride, bool first, float* tops, float* sums));

namespace {

constexpr const char* kOp = "linear_cross_entropy";
constexpr int64_t kRanges = 8;  // of columns; a range's statistics are made in one go
constexpr int64_t kLanes = 16;  // sums of a row in a range

// Statistics of the logits' rows in each range of columns, and the targets' logits.
class RowLosses {
 public:
  RowLosses(const Tensor& targets)
      : rows_(targets.size(0)),
        targets_(targets.data<int32_t>()),
        tops_(static_cast<size_t>(kRanges * rows_), -INFINITY),
        sums_(Tensor::zeros({kRanges, rows_, kLanes})),
        picked_(static_cast<size_t>(rows_)) {}

  void take(const ProductTile& t) {
    const int64_t at = t.range * rows_ + t.row;
    running_statistics(t.rows, t.columns, t.values, t.stride, t.first, tops_.data() + at,
                       sums_.data<float>() + at * kLanes);
    for (int64_t r = 0; r < t.rows; ++r) {
      const int64_t target = targets_[t.row + r] - t.column;
      if (target >= 0 && target < t.columns) {
        picked_[static_cast<size_t>(t.row + r)] = t.values[r * t.stride + target];
      }
    }
  }

  double total() const {
    std::vector<double> losses(static_cast<size_t>(rows_));
    parallel_for(rows_, kRowGrain / (kRanges * kLanes), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) losses[static_cast<size_t>(r)] = loss(r);
    });
    double all = 0;
    for (const double loss : losses) all += loss;
    return all;
  }

 private:
  double loss(int64_t r) const {
    float top = -INFINITY;
    for (int64_t k = 0; k < kRanges; ++k) top = std::max(top, top_of(k, r));
    double sum = 0;
    for (int64_t k = 0; k < kRanges; ++k) {
      const float* lanes = sums_.data<float>() + (k * rows_ + r) * kLanes;
      double part = 0;
      for (int64_t i = 0; i < kLanes; ++i) part += lanes[i];
      // A range that was not used, or of -infinity alone, has nothing to scale.
      if (part != 0) sum += part * std::exp(static_cast<double>(top_of(k, r)) - top);
    }
    return static_cast<double>(top) - picked_[static_cast<size_t>(r)] + std::log(sum);
  }
  float top_of(int64_t range, int64_t r) const {
    return tops_[static_cast<size_t>(range * rows_ + r)];
  }

  const int64_t rows_;
  const int32_t* const targets_;
  std::vector<float> tops_;  // [kRanges, rows]
  Tensor sums_;              // [kRanges, rows, kLanes]
  std::vector<float> picked_;
};

Tensor evaluated(const Tensor& x, const Var& w, const Tensor& targets) {
  RowLosses losses(targets);
  const auto product = [&](const PackedMatrix& packed) {
    packed_gemm_tiles(x.size(0), x.data<float>(), x.size(1), packed, kRanges,
                      [&](const ProductTile& tile) { losses.take(tile); });
  };
  const Tensor& values = w.value();
  if (w.tape() != nullptr) {
    product(w.tape()->packed_weights().get(values, true, 0, w.size(0)));
  } else {
    product(PackedMatrix(true, w.size(1), w.size(0), values.data<float>(), w.size(1)));
  }
  Tensor y({}, DType::f32);
  y.data<float>()[0] = static_cast<float>(losses.total() * (1.0 / static_cast<double>(x.size(0))));
  return y;
}

}  // namespace

Var linear_cross_entropy(const Var& x, const Var& w, const Tensor& targets) {
  check(x.rank() == 2 && w.rank() == 2 && x.size(1) == w.size(1) && targets.rank() == 1 &&
            targets.size(0) == x.size(0) && targets.dtype() == DType::i32,
        kOp, "needs x [n, H], w [V, H] and targets i32 [n], got ", x.shape(), ", ", w.shape(),
        " and ", targets.dtype(), " ", targets.shape());
  const auto on_cpu = [](const Tensor& t) { return t.device() == Device::cpu; };
  const bool tiles = !x.has_grad() && !w.has_grad() && x.dtype() == DType::f32 &&
                     w.dtype() == DType::f32 && on_cpu(x.value()) && on_cpu(w.value()) &&
                     on_cpu(targets);
  if (!tiles) {
    return softmax_cross_entropy(matmul(x, w, Transpose::no, Transpose::yes), targets);
  }
  check_targets(kOp, targets, w.size(0));
  return evaluated(x.value(), w, targets);
}

}  // namespace enas
