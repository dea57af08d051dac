// Packed copies of weights: made once, made anew when the weight changes, dropped by the tape.
#include "autograd/packed_weights.h"

#include <gtest/gtest.h>

#include "autograd/tape.h"

namespace enas {
namespace {

Tensor weight() { return Tensor::from({1, 2, 3, 4, 5, 6}, {3, 2}, DType::f32); }

// a [1, k] times the packed matrix.
std::vector<float> times(const std::vector<float>& a, const PackedMatrix& b) {
  std::vector<float> c(static_cast<size_t>(b.columns()));
  packed_gemm(1, a.data(), b.rows(), b, false, c.data(), b.columns());
  return c;
}

TEST(PackedWeights, GivesRowsAsTheyLieAndTransposed) {
  PackedWeights packed;
  const Tensor w = weight();
  EXPECT_EQ(times({1, 10, 100}, packed.get(w, false, 0, 3)), (std::vector<float>{531, 642}));
  EXPECT_EQ(times({1, 10}, packed.get(w, true, 0, 3)), (std::vector<float>{21, 43, 65}));
  EXPECT_EQ(times({1, 10}, packed.get(w, true, 1, 2)), (std::vector<float>{43, 65}));
  EXPECT_EQ(packed.size(), 3u);
  packed.get(w, true, 1, 2);
  EXPECT_EQ(packed.size(), 3u);
  EXPECT_EQ(packed.get(w, false, 0, 3, 2).parts(), 2);
  EXPECT_EQ(packed.get(w, false, 0, 3).parts(), 1);
  EXPECT_EQ(packed.size(), 4u);
  packed.drop(false);
  EXPECT_EQ(packed.size(), 2u);
  packed.drop(weight());  // another tensor
  EXPECT_EQ(packed.size(), 2u);
  packed.drop(w);
  EXPECT_EQ(packed.size(), 0u);
}

TEST(PackedWeights, KeepsWhatWasUsedLast) {
  PackedWeights packed;
  const Tensor a = weight(), b = weight(), c = weight();
  const int64_t each = packed.get(a, false, 0, 3).bytes();
  EXPECT_GT(each, 0);
  packed.get(b, false, 0, 3);
  packed.get(c, false, 0, 3);
  const float* const of_a = packed.get(a, false, 0, 3).panels();
  packed.keep_latest(3 * each);
  EXPECT_EQ(packed.size(), 3u);
  packed.keep_latest(3 * each - 1);  // b, used longest ago, goes
  EXPECT_EQ(packed.size(), 2u);
  const float* const of_c = packed.get(c, false, 0, 3).panels();
  EXPECT_EQ(packed.get(a, false, 0, 3).panels(), of_a);
  EXPECT_EQ(packed.size(), 2u);
  packed.keep_latest(each);
  EXPECT_EQ(packed.get(a, false, 0, 3).panels(), of_a);
  EXPECT_EQ(packed.size(), 1u);
  EXPECT_NE(of_a, of_c);
  packed.keep_latest(0);
  EXPECT_EQ(packed.size(), 0u);
}

TEST(PackedWeights, PacksAgainWhatChanged) {
  PackedWeights packed;
  Tensor w = weight();
  packed.get(w, false, 0, 3);
  w.fill(1);
  w.bump_version();
  EXPECT_EQ(times({1, 10, 100}, packed.get(w, false, 0, 3)), (std::vector<float>{111, 111}));
  const Isa before = isa();
  for (const Isa path : available_isas()) {
    set_isa(path);
    EXPECT_EQ(times({1, 10, 100}, packed.get(w, false, 0, 3)), (std::vector<float>{111, 111}));
  }
  set_isa(before);
  EXPECT_EQ(packed.size(), 1u);
}

TEST(PackedWeights, LiveNoLongerThanScopeAndRecording) {
  Tape tape;
  {
    const Tape::NoGrad no_grad(tape);
    tape.packed_weights().get(weight(), false, 0, 3);
    EXPECT_EQ(tape.packed_weights().size(), 1u);
  }
  EXPECT_EQ(tape.packed_weights().size(), 0u);
  tape.packed_weights().get(weight(), false, 0, 3);
  tape.clear();
  EXPECT_EQ(tape.packed_weights().size(), 0u);
}

}  // namespace
}  // namespace enas
