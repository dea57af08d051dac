// Cells that take their weight's packed copy from the tape.
#include "ops/highway_cell.h"
#include "ops/plain_cell.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

Parameter drawn(int64_t rows, int64_t columns) {
  Parameter p;
  p.name = "w";
  p.value = random_tensor({rows, columns}, 5, DType::f32);
  return p;
}

// Forward packings make room before backward's; none is left behind.
TEST(PackedCells, KeepOneCopyAWeightAndDropIt) {
  Parameter w = drawn(8, 16);
  Tape tape;
  const Var first = tape.variable(random_tensor({3, 8}, 1, DType::f32));
  Var s = first;
  for (int t = 0; t < 3; ++t) s = highway_cell(s, tape.use(w), Activation::tanh);
  EXPECT_EQ(tape.packed_weights().size(), 1u);
  size_t seen = 0;
  const Var y = record("look", {s}, s.value(), [&](const Tensor& dy, Grads& dx) {
    seen = tape.packed_weights().size() + 1;
    dx[0].accept(dy);
  });
  tape.backward(y);
  EXPECT_EQ(seen, 1u) << "forward's copy still there when backward began";
  EXPECT_EQ(tape.packed_weights().size(), 0u);
  EXPECT_TRUE(w.grad.defined());
}

// Evaluation computes the bits of training's forward.
TEST(PackedCells, SameBitsWithAndWithoutGradient) {
  Parameter w = drawn(16, 8);
  const Tensor x = random_tensor({3, 8}, 1, DType::f32), s = random_tensor({3, 8}, 2, DType::f32);
  Tape tape;
  const Values recorded = plain_input(x, s, tape.use(w), Activation::tanh).value().to_vector();
  const Tape::NoGrad no_grad(tape);
  EXPECT_EQ(plain_input(x, s, tape.use(w), Activation::tanh).value().to_vector(), recorded);
}

// An update between two windows reaches the packed copy.
TEST(PackedCells, FollowTheWeight) {
  Parameter w = drawn(8, 8);
  const Tensor s = random_tensor({3, 8}, 2, DType::f32);
  Tape tape;
  const Tape::NoGrad no_grad(tape);
  const auto run = [&] {
    return plain_cell(s, tape.use(w), Activation::identity).value().to_vector();
  };
  const Values before = run();
  w.value.fill(0);
  w.value.bump_version();
  EXPECT_NE(run(), before);
  EXPECT_EQ(run(), Values(24, 0.0));
}

}  // namespace
}  // namespace enas::test
