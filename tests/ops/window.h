// Helpers of the tests of ops with weights: gradients of a window that uses one weight many times.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "tensor/philox.h"
#include "tests/op_cases.h"

namespace enas::test {

inline Tensor random_tensor(const Shape& shape, uint64_t step, DType dtype = DType::f64) {
  const Random random{5, Stream::test, step};
  Values v(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = random.uniform(i) * 2 - 1;
  return Tensor::from(v, shape, dtype);
}

// A scalar loss that uses the weight as often as it likes.
using WindowLoss = std::function<Var(const Var& w)>;

// As a Parameter all uses are flushed as one list; as a variable each adds at once. The two agree,
// and the second agrees with differences.
inline void expect_window_gradient(const Tensor& w, const WindowLoss& loss) {
  Parameter p{"w", w, {}};
  Tape tape;
  tape.backward(loss(tape.use(p)));
  Tape single;
  const Var v = single.variable(w);
  single.backward(loss(v));
  const Values got = p.grad.to_vector(), want = single.gradient(v).to_vector();
  ASSERT_EQ(got.size(), want.size());
  double scale = 0;
  for (const double g : want) scale = std::max(scale, std::fabs(g));
  ASSERT_GT(scale, 0);
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_NEAR(got[i], want[i], 1e-12 * scale) << "element " << i;
  }
  EXPECT_EQ(grad_check([&](Tape&, const std::vector<Var>& x) { return loss(x[0]); }, {w}), "");
}

template <class F>
std::string error_of(F&& f, ErrorKind kind = ErrorKind::internal) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), kind);
    return e.what();
  }
  return "no error";
}

}  // namespace enas::test
