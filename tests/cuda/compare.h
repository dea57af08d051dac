// Tensors of the device against the CPU's, for tests of single kernels.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "tensor/tensor.h"
#include "tests/cuda/schedules.h"

namespace enas::test {

// Within `relative` of the largest value.
inline void expect_near(const Tensor& got, const Tensor& want, double relative) {
  ASSERT_EQ(got.shape(), want.shape());
  const std::vector<double> have = got.to_vector(), expected = want.to_vector();
  double scale = 1e-30;
  for (const double v : expected) scale = std::max(scale, std::fabs(v));
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_LE(std::fabs(have[i] - expected[i]), relative * scale)
        << "element " << i << ": " << have[i] << ", on the CPU " << expected[i];
  }
}

// Rounding of short sums.
inline double rounding(DType dtype) { return dtype == DType::f64 ? 1e-14 : 4e-6; }

// make() on the device gives `want` under every schedule, and the same bits.
template <class Make>
void expect_same_each_run(const Tensor& want, double relative, Make make) {
  Tensor first;
  for (int run = 0; run < cuda::test_runs(); ++run) {
    cuda::prepare_test_run(run);
    const Tensor got = make().to(Device::cpu);
    if (run == 0) {
      expect_near(got, want, relative);
      first = got;
    } else {
      ASSERT_EQ(std::memcmp(got.raw(), first.raw(), got.bytes()), 0) << "run " << run;
    }
    if (testing::Test::HasFatalFailure()) return;
  }
}

// The values at the device in a tensor that begins `offset` elements into its block: addresses as
// odd as a slice may have.
inline Tensor at_offset(const Tensor& t, int64_t offset) {
  Tensor all({t.numel() + offset}, t.dtype(), Device::cuda);
  Tensor there = all.slice(offset, all.size(0)).reshape(t.shape());
  there.copy_from(t);
  return there;
}

}  // namespace enas::test
