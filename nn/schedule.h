// Learning rates over epochs, as small values. All but Plateau are pure functions of the epoch,
// which counts as the caller counts (fractions are allowed where the type is double).
#pragma once
#include <cstdint>
#include <limits>

#include "tensor/tensor.h"

namespace enas {

struct ConstantRate {
  double lr;
  double at(double) const { return lr; }
};

// lr before epoch `from`; then lr * factor^(epoch - from + 1), not below `floor`: `from` is the
// first epoch with a smaller rate.
struct ExponentialRate {
  double lr;
  double factor;
  int64_t from;
  double floor = 0;
  double at(int64_t epoch) const;
};

// SGDR (Loshchilov, Hutter 2017): within a period that begins at s and lasts T epochs,
//   lr_min + (lr_max - lr_min) (1 + cos(pi (epoch - s) / T)) / 2;   T = first, then times multiply.
// first 10, multiply 2: restarts at epochs 10, 30, 70, 150, 310, 630.
struct CosineRate {
  double lr_max, lr_min;
  int64_t first = 10;
  int64_t multiply = 2;
  struct Period {
    int64_t begin, length;
  };
  Period period(double epoch) const;
  double at(double epoch) const;
  // Of an epoch's first step where a restart comes one step late (parity switch stale-lr).
  double first_step(int64_t epoch) const;
};

// Divides the rate by `divide` whenever a validation loss does not improve on the best so far by
// more than `least` (relative). keep_dividing: from the first such epoch on, after every epoch
// (new-bob). A loss that is NaN is no improvement.
struct Plateau {
  double lr;
  double divide = 4;
  double least = 0;
  bool keep_dividing = false;
  double best = std::numeric_limits<double>::infinity();
  bool dividing = false;

  double at(double) const { return lr; }
  void observe(double loss);
  Tensor state() const;  // f64 [3]: lr, best, dividing
  void load_state(const Tensor& state);
};

}  // namespace enas
