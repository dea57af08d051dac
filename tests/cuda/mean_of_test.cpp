// The mean of several tensors on the device: more values than one launch takes, odd addresses. The
// order of the sum is the CPU's, so that the bits are too.
#include "ops/mean_of.h"

#include <gtest/gtest.h>

#include "tests/cuda/compare.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

TEST(CudaMeanOf, AnyCountAndAddress) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const size_t count : {2u, 3u, 64u, 65u, 131u}) {
      for (const int64_t n : {1, 8, 1030}) {
        for (const size_t odd : {size_t{0}, count - 1, count}) {  // none where it is count
          SCOPED_TRACE(testing::Message() << dtype << ' ' << count << " of " << n << ", " << odd);
          std::vector<Var> here, there;
          for (size_t i = 0; i < count; ++i) {
            here.emplace_back(random_tensor({n}, i + 1, dtype));
            there.emplace_back(at_offset(here[i].value(), i == odd ? 1 : 0));
          }
          Tensor want({n}, dtype);
          cpu::mean_of_forward(want, here);
          Tensor got({n}, dtype, Device::cuda);
          cuda::mean_of_forward(got, there);
          expect_near(got, want, 0);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

}  // namespace
}  // namespace enas::test
