#include "nn/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tensor/check.h"

namespace enas {

double ExponentialRate::at(int64_t epoch) const {
  const int64_t times = std::max<int64_t>(0, epoch - from + 1);
  return std::max(floor, lr * std::pow(factor, static_cast<double>(times)));
}

CosineRate::Period CosineRate::period(double epoch) const {
  check(first >= 1 && multiply >= 1 && epoch >= 0, ErrorKind::usage, "cosine",
        "needs a first period and a multiplier of at least 1 and an epoch of at least 0, got ",
        first, ", ", multiply, " and ", epoch);
  Period p{0, first};
  while (epoch >= static_cast<double>(p.begin + p.length)) {
    p.begin += p.length;
    p.length *= multiply;
  }
  return p;
}

double CosineRate::at(double epoch) const {
  const Period p = period(epoch);
  const double part = (epoch - static_cast<double>(p.begin)) / static_cast<double>(p.length);
  return lr_min + (lr_max - lr_min) * 0.5 * (1 + std::cos(std::numbers::pi * part));
}

double CosineRate::first_step(int64_t epoch) const {
  const bool restarts = epoch > 0 && period(static_cast<double>(epoch)).begin == epoch;
  return at(static_cast<double>(restarts ? epoch - 1 : epoch));
}

}  // namespace enas
