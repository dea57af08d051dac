// The weight gradient of a window on the device against the CPU's: stacks of ragged blocks, blocks
// at odd offsets, neighbours in place, more blocks than one launch takes.
#include "ops/weight_gradient.h"

#include "cuda/runtime.h"
#include "ops/matmul.h"
#include "tests/cuda/compare.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

constexpr int64_t kInputs = 5, kOutputs = 3;

// Launches for weight gradients so far: of the kernel that stacks, and of products.
uint64_t launches() { return cuda::launches_by_op()["weight gradient"]; }

// Blocks of these rows in order of recording; backward hands them over last first.
std::vector<Contribution> window_of(const std::vector<int64_t>& rows, DType dtype) {
  std::vector<Contribution> list;
  for (uint64_t i = 0; i < rows.size(); ++i) {
    list.insert(list.begin(), {random_tensor({rows[i], kInputs}, 2 * i, dtype),
                               random_tensor({rows[i], kOutputs}, 2 * i + 1, dtype)});
  }
  return list;
}

void expect_same(const std::vector<int64_t>& rows, int64_t offset = 0) {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const std::vector<Contribution> list = window_of(rows, dtype);
    std::vector<Contribution> there;
    for (const Contribution& c : list) {
      there.push_back({at_offset(c.a, offset), at_offset(c.b, offset)});
    }
    for (const Into into : {Into::write, Into::add}) {
      const Tensor before = Tensor::full({kInputs, kOutputs}, 0.5, dtype);
      Tensor want = before.clone();
      cpu::weight_gradient(want, list, into);
      expect_same_each_run(want, 20 * rounding(dtype), [&] {
        Tensor got = before.to(Device::cuda);
        cuda::weight_gradient(got, there, into);
        return got;
      });
    }
  }
}

TEST(CudaWeightGradient, StacksBlocksOfAnySize) {
  expect_same({4, 1, 7, 12, 3});
  expect_same({8, 8, 8});
  expect_same({2, 2000});  // more than the copying blocks take in one pass
}

TEST(CudaWeightGradient, BlocksAtOddOffsets) {
  for (const int64_t offset : {1, 2, 4}) expect_same({4, 9, 12}, offset);
}

TEST(CudaWeightGradient, EmptyBlocksAndWindows) {
  expect_same({0, 4, 0, 3, 0});
  expect_same({0, 0});
  expect_same({6});
}

TEST(CudaWeightGradient, MoreBlocksThanOneLaunchTakes) {
  expect_same(std::vector<int64_t>(150, 2));
}

// Slices that follow each other in one tensor are multiplied where they lie; other blocks cost one
// launch for both factors.
TEST(CudaWeightGradient, NeighboursNeedNoCopy) {
  const Tensor a = random_tensor({12, kInputs}, 1), b = random_tensor({12, kOutputs}, 2);
  const Tensor a_there = a.to(Device::cuda), b_there = b.to(Device::cuda);
  const auto slices = [](const Tensor& x, const Tensor& y, bool swap_a, bool swap_b) {
    std::vector<Contribution> list;
    for (int64_t t : {9, 6, 3, 0}) list.push_back({x.slice(t, t + 3), y.slice(t, t + 3)});
    if (swap_a) std::swap(list[0].a, list[2].a);
    if (swap_b) std::swap(list[0].b, list[2].b);
    return list;
  };
  for (const bool swap_a : {false, true}) {
    for (const bool swap_b : {false, true}) {
      Tensor want({kInputs, kOutputs}, DType::f64);
      cpu::weight_gradient(want, slices(a, b, swap_a, swap_b), Into::write);
      Tensor got({kInputs, kOutputs}, DType::f64, Device::cuda);
      const uint64_t before = launches();
      cuda::weight_gradient(got, slices(a_there, b_there, swap_a, swap_b), Into::write);
      EXPECT_EQ(launches() - before, swap_a || swap_b ? 2u : 1u);
      expect_near(got, want, 1e-14);
    }
  }
}

// A use waits for the others of its window, unless it has more rows than a GPU likes to wait for.
TEST(CudaWeightGradient, UsesWaitForTheirWindow) {
  for (const int64_t rows : {kWaitingRows + 1, kWaitingRowsCuda, kWaitingRowsCuda + 1}) {
    Parameter p{"w", random_tensor({2, 2}, 9).to(Device::cuda), {}};
    Tape tape;
    std::vector<Var> outputs;
    for (uint64_t t = 0; t < 3; ++t) {
      outputs.push_back(matmul(random_tensor({rows, 2}, t).to(Device::cuda), tape.use(p)));
    }
    const Var loss = weighted_sum(outputs);
    const uint64_t before = launches();
    tape.backward(loss);
    EXPECT_EQ(launches() - before, rows <= kWaitingRowsCuda ? 2u : 3u) << rows;
  }
}

}  // namespace
}  // namespace enas::test
