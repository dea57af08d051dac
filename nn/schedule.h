// Learning rates over epochs, as small values: pure functions of the epoch, which counts as the
// caller counts (fractions are allowed where the type is double).
#pragma once
#include <cstdint>

namespace enas {

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

}  // namespace enas
