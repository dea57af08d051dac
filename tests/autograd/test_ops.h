// The smallest ops, so that the tests of the tape depend on nothing above it. All f64.
#pragma once
#include <vector>

#include "autograd/tape.h"

namespace enas::test {

inline Tensor f64(const std::vector<double>& values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())}, DType::f64);
}

// out (+)= factor * in
inline void scale_into(const Tensor& in, double factor, Grad& dx) {
  const bool add = dx.into() == Into::add;
  double* out = dx.tensor().data<double>();
  const double* x = in.data<double>();
  for (int64_t i = 0; i < in.numel(); ++i) out[i] = (add ? out[i] : 0) + factor * x[i];
}

inline Var scale(const Var& x, double factor) {
  Tensor y = empty_like(x.value());
  for (int64_t i = 0; i < y.numel(); ++i)
    y.data<double>()[i] = factor * x.value().data<double>()[i];
  return record("scale", {x}, y,
                [factor](const Tensor& dy, Grads& dx) { scale_into(dy, factor, dx[0]); });
}

// a + b; the gradients are dy itself.
inline Var add(const Var& a, const Var& b) {
  Tensor y = empty_like(a.value());
  for (int64_t i = 0; i < y.numel(); ++i) {
    y.data<double>()[i] = a.value().data<double>()[i] + b.value().data<double>()[i];
  }
  return record("add", {a, b}, y, [](const Tensor& dy, Grads& dx) {
    for (size_t k = 0; k < 2; ++k) {
      if (dx[k].needed()) dx[k].accept(dy);
    }
  });
}

// a * b, with write-or-add kernels.
inline Var mul(const Var& a, const Var& b) {
  const Tensor x = a.value(), w = b.value();
  Tensor y = empty_like(x);
  for (int64_t i = 0; i < y.numel(); ++i)
    y.data<double>()[i] = x.data<double>()[i] * w.data<double>()[i];
  return record("mul", {a, b}, y, [x, w](const Tensor& dy, Grads& dx) {
    for (size_t k = 0; k < 2; ++k) {
      if (!dx[k].needed()) continue;
      const Tensor& other = k == 0 ? w : x;
      const bool accumulate = dx[k].into() == Into::add;
      double* out = dx[k].tensor().data<double>();
      for (int64_t i = 0; i < dy.numel(); ++i) {
        out[i] = (accumulate ? out[i] : 0) + dy.data<double>()[i] * other.data<double>()[i];
      }
    }
  });
}

inline Var total(const Var& x) {
  double sum = 0;
  for (const double v : x.value().to_vector()) sum += v;
  return record("total", {x}, Tensor::full({}, sum, DType::f64),
                [shape = x.shape()](const Tensor& dy, Grads& dx) {
                  scale_into(Tensor::full(shape, dy.item(), DType::f64), 1, dx[0]);
                });
}

}  // namespace enas::test
