// One categorical decision by inversion, the same arithmetic in double on CPU and GPU:
// sample_categorical and controller_rollout both decide with it. Sums run in the order of the
// logits on every device. (ops/sample.h states the formulas.)
#pragma once
#include <cmath>
#include <cstdint>

#include "tensor/device.h"

namespace enas {

struct Choice {
  int32_t action;
  double log_prob, entropy;
};

// Of exp(logit - top): what a row needs beside the logits.
struct Partition {
  double top = -INFINITY;     // the largest logit
  double total = 0;           // the sum
  double weighted_total = 0;  // the sum of (logit - top) exp(logit - top)

  ENAS_HD void see(double logit) { top = top < logit ? logit : top; }
  ENAS_HD static double term(double weight, double distance) {
    return weight == 0 ? 0 : weight * distance;  // nothing at a logit of -inf
  }
  ENAS_HD void add(double weight, double its_term) {
    total += weight;
    weighted_total += its_term;
  }
  // No NaN, no +inf, and one logit above -inf.
  ENAS_HD bool usable() const { return top - top == 0 && total - total == 0; }
  ENAS_HD Choice choice(int32_t action, double logit) const {
    const double log_total = std::log(total);
    return {action, logit - top - log_total, log_total - weighted_total / total};
  }
};

// Walks over the weights until their sum passes uniform * total. Rounding can leave the last sum
// below that: then the last possible action is taken.
struct Inversion {
  double target;
  double sum = 0;
  int32_t action = 0;

  ENAS_HD Inversion(double uniform, const Partition& row) : target(uniform * row.total) {}
  // True when the action is found.
  ENAS_HD bool visit(int32_t candidate, double weight) {
    if (weight == 0) return false;
    action = candidate;
    sum += weight;
    return sum > target;
  }
};

template <class T>
ENAS_HD Partition partition(const T* logits, int32_t n) {
  Partition row;
  for (int32_t j = 0; j < n; ++j) row.see(static_cast<double>(logits[j]));
  for (int32_t j = 0; j < n; ++j) {
    const double distance = static_cast<double>(logits[j]) - row.top, weight = std::exp(distance);
    row.add(weight, Partition::term(weight, distance));
  }
  return row;
}

// uniform in [0, 1); of a usable partition.
template <class T>
ENAS_HD Choice choose(const T* logits, int32_t n, const Partition& row, double uniform) {
  Inversion walk(uniform, row);
  for (int32_t j = 0; j < n; ++j) {
    if (walk.visit(j, std::exp(static_cast<double>(logits[j]) - row.top))) break;
  }
  return row.choice(walk.action, static_cast<double>(logits[walk.action]));
}

}  // namespace enas
