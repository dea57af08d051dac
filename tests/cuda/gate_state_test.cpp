// The carried state behind a gate: sizes beside 16 bytes, odd addresses, bits under an open gate.
#include "ops/gate_state.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/cuda/update_items.h"

namespace enas::test {
namespace {

TEST(CudaGateState, AnOpenGateKeepsEveryBitAndAClosedOneZeroesAll) {
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
    for (const int64_t size : {0, 1, 3, 7, 8, 9, 63, 2049}) {
      for (const int64_t offset : {0, 1, 3}) {
        Tensor state = Tensor::full({size}, NAN, dtype),
               beside = Tensor::full({size + 6}, 1, dtype);
        beside = at_offset(beside, 0);
        Tensor there = beside.slice(offset, offset + size);
        there.copy_from(state);
        gate_state(there, gate_on(Device::cuda, 1));
        for (const double v : there.to_vector()) ASSERT_TRUE(std::isnan(v));
        gate_state(there, gate_on(Device::cuda, 1, 0));
        Values want(static_cast<size_t>(size + 6), 1);
        std::fill_n(want.begin() + offset, size, 0.0);
        ASSERT_EQ(beside.to_vector(), want) << dtype << ' ' << size << ' ' << offset;
      }
    }
  }
}

TEST(CudaGateState, RefusesAGateOfTheOtherDevice) {
  Tensor state = Tensor::full({3}, 1, DType::f32, Device::cuda);
  EXPECT_THROW(gate_state(state, gate_on(Device::cpu, 1)), Error);
}

}  // namespace
}  // namespace enas::test
