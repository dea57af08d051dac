// A window of a recurrent language model on the device: three steps over shared weights, locked
// masks, a tied embedding. Its gradients are those of the CPU, and of differences taken there.
#include <gtest/gtest.h>

#include "autograd/grad_check.h"
#include "ops/dropout.h"
#include "ops/embedding.h"
#include "ops/highway_cell.h"
#include "ops/lstm_cell.h"
#include "ops/matmul.h"
#include "ops/mean_of.h"
#include "ops/plain_cell.h"
#include "ops/softmax_cross_entropy.h"
#include "ops/structure.h"
#include "tests/cuda/compare.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

constexpr int64_t kBatch = 2, kSteps = 3, kHidden = 5, kWords = 7;

struct Window {
  Tensor words, targets, state, mask_word, mask_x, mask_s, mask_out;
};
Window window_on(Device device, DType dtype) {
  const auto mask = [&](const Shape& shape, uint64_t step) {
    return dropout_mask(shape, 0.25, Random{3, Stream::test, step}, dtype).to(device);
  };
  const Shape locked{kBatch, kHidden};
  return {Tensor::from_indices({1, 4, 4, 0, 6, 1}, {kSteps * kBatch}).to(device),
          Tensor::from_indices({4, 0, 6, 4, 1, 5}, {kSteps * kBatch}).to(device),
          random_tensor(locked, 1, dtype).to(device),
          mask({kWords}, 1),
          mask(locked, 2),
          mask(locked, 3),
          mask(locked, 4)};
}

// Embedding table, node 0, node 1, node 2, and an LSTM over the outputs.
std::vector<Tensor> weights(DType dtype) {
  return {random_tensor({kWords, kHidden}, 10, dtype),
          random_tensor({2 * kHidden, 2 * kHidden}, 11, dtype),
          random_tensor({kHidden, 2 * kHidden}, 12, dtype),
          random_tensor({kHidden, kHidden}, 13, dtype),
          random_tensor({2 * kHidden, 4 * kHidden}, 14, dtype)};
}

Var loss_of(const Window& in, const std::vector<Var>& w) {
  const Var x = embedding(w[0], in.words, in.mask_word);
  Var s = in.state;
  LstmState top{in.state, in.state};
  std::vector<Var> outputs;
  for (int64_t t = 0; t < kSteps; ++t) {
    const Var word = slice_rows(x, t * kBatch, (t + 1) * kBatch);
    const Var first = highway_input(word, s, w[1], Activation::tanh, in.mask_x, in.mask_s);
    const Var gated = highway_cell(first, w[2], Activation::sigmoid, in.mask_s);
    const Var plain = plain_cell(first, w[3], Activation::tanh, in.mask_s);
    s = mean_of({gated, plain});
    top = lstm_cell(s, top, w[4]);
    outputs.push_back(top.h);
  }
  const Var masked = dropout(concat_rows(outputs), in.mask_out);
  return softmax_cross_entropy(matmul(masked, w[0], Transpose::no, Transpose::yes), in.targets);
}

// Loss, then the gradient of every weight.
std::vector<Tensor> run_window(Device device, DType dtype) {
  std::vector<Parameter> parameters;
  for (const Tensor& w : weights(dtype)) parameters.push_back({"w", w.to(device), {}});
  Tape tape;
  std::vector<Var> leaves;
  for (Parameter& p : parameters) leaves.push_back(tape.use(p));
  const Var loss = loss_of(window_on(device, dtype), leaves);
  tape.backward(loss);
  std::vector<Tensor> out = {loss.value()};
  for (const Parameter& p : parameters) out.push_back(p.grad);
  return out;
}

TEST(CudaRecurrentWindow, HasTheGradientsOfTheCpu) {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const std::vector<Tensor> want = run_window(Device::cpu, DType::f64);
    std::vector<Tensor> first;
    for (int run = 0; run < cuda::test_runs(); ++run) {
      cuda::prepare_test_run(run);
      const std::vector<Tensor> got = run_window(Device::cuda, dtype);
      for (size_t i = 0; i < want.size(); ++i) {
        SCOPED_TRACE(testing::Message() << dtype << " run " << run << " weight " << i);
        ASSERT_EQ(got[i].device(), Device::cuda);
        expect_near(got[i], want[i], dtype == DType::f64 ? 1e-12 : 2e-5);
        if (run > 0) {
          EXPECT_EQ(got[i].to_vector(), first[i].to_vector());
        }
      }
      if (run == 0) first = got;
    }
  }
}

TEST(CudaRecurrentWindow, HasTheGradientsOfDifferences) {
  std::vector<Tensor> there;
  for (const Tensor& w : weights(DType::f64)) there.push_back(w.to(Device::cuda));
  const Window window = window_on(Device::cuda, DType::f64);
  GradCheckOptions options;
  options.most_elements = 12;
  EXPECT_EQ(grad_check([&](Tape&, const std::vector<Var>& w) { return loss_of(window, w); }, there,
                       options),
            "");
}

}  // namespace
}  // namespace enas::test
