// Sums of more terms than one launch takes, with and without statistics. The order of the sum is
// the CPU's.
#include "ops/sum_of.h"

#include <gtest/gtest.h>

#include "tests/cuda/compare.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

TEST(CudaSumOf, AnyNumberOfTerms) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const size_t count : {1u, 16u, 17u, 40u}) {
      for (const bool stats : {false, true}) {
        SCOPED_TRACE(testing::Message() << dtype << ' ' << count << (stats ? " stats" : ""));
        const Shape shape{3, 5, 7};
        std::vector<Term> here, there;
        for (size_t i = 0; i < count; ++i) {
          const Tensor x = random_tensor(shape, i + 1, dtype);
          const Tensor keep = i % 3 == 0 ? random_tensor({3}, i + 100, dtype) : Tensor();
          here.push_back({x, {}, keep});
          there.push_back({x.to(Device::cuda), {}, keep.defined() ? keep.to(Device::cuda) : keep});
        }
        const RawConv want = sum_of(here, stats), got = sum_of(there, stats);
        expect_near(got.y.value(), want.y.value(), 1e-6);
        if (stats) {
          expect_near(got.stats.mean, want.stats.mean, 1e-5);
          expect_near(got.stats.variance, want.stats.variance, 1e-5);
        }
        if (HasFatalFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace enas::test
