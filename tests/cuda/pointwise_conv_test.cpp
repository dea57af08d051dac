// 1x1 over many sources on the device: more of them than a launch takes, gradients that are not
// wanted, written and added ones, with relu and without.
#include "ops/pointwise_conv.h"

#include <gtest/gtest.h>

#include "tests/cuda/compare.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

struct Operands {
  Operands(size_t count, int64_t co, DType dtype) : dy(random_tensor({2, 19, 17, co}, 99, dtype)) {
    for (size_t i = 0; i < count; ++i) {
      const int64_t ci = 1 + static_cast<int64_t>(i * 5 % 7);
      x.push_back(random_tensor({2, 19, 17, ci}, i + 1, dtype));
      w.push_back(random_tensor({ci, co}, i + 40, dtype));
      x_there.push_back(at_offset(x[i], static_cast<int64_t>(i % 2)));
      w_there.push_back(at_offset(w[i], 1));
    }
    dy_there = dy.to(Device::cuda);
  }
  std::vector<Tensor> x, w, x_there, w_there;
  Tensor dy, dy_there;
};

// Operands of one case, and whether relu is applied.
template <class F>
void each(F&& f) {
  struct Case {
    size_t count;
    int64_t co;
    bool relu;
  };
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Case& c :
         {Case{1, 36, false}, Case{3, 5, true}, Case{4, 36, false}, Case{19, 33, true}}) {
      SCOPED_TRACE(testing::Message() << dtype << " " << c.count << " sources to " << c.co);
      f(Operands(c.count, c.co, dtype), c.relu);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

double bound(DType dtype) { return 4 * rounding(dtype); }

TEST(CudaPointwiseConv, Forward) {
  each([](const Operands& o, bool relu) {
    Tensor want = empty_like(o.dy);
    cpu::pointwise_conv_forward(want, o.x, o.w, relu, nullptr);
    expect_same_each_run(want, bound(o.dy.dtype()), [&] {
      Tensor got = empty_like(o.dy_there);
      cuda::pointwise_conv_forward(got, o.x_there, o.w_there, relu, nullptr);
      return got;
    });
  });
}

// Every third gradient is not wanted, every other one adds.
std::vector<GradOut> outs_of(std::vector<Tensor>& gradients) {
  std::vector<GradOut> outs(gradients.size());
  for (size_t i = 0; i < outs.size(); ++i) {
    if (i % 3 == 2) continue;
    outs[i] = {&gradients[i], i % 2 == 0 ? Into::write : Into::add};
  }
  return outs;
}
std::vector<Tensor> copies(const std::vector<Tensor>& tensors, Device device) {
  std::vector<Tensor> result;
  for (const Tensor& t : tensors) result.push_back(t.clone().to(device));
  return result;
}

// run(gradients, there) on both sides; those that are not wanted stay as they were.
template <class Run>
void expect_gradients(const std::vector<Tensor>& start, DType dtype, Run run) {
  std::vector<Tensor> want = copies(start, Device::cpu);
  run(outs_of(want), false);
  std::vector<std::vector<Tensor>> runs;  // made for the first gradient, looked at for all
  for (size_t i = 0; i < want.size(); ++i) {
    size_t next = 0;
    expect_same_each_run(want[i], bound(dtype), [&] {
      if (i == 0) {
        std::vector<Tensor> got = copies(start, Device::cuda);
        run(outs_of(got), true);
        runs.push_back(std::move(got));
      }
      return runs[next++][i];
    });
    if (testing::Test::HasFatalFailure()) return;
    if (i == 2) break;  // the first ones are of all kinds
  }
}

TEST(CudaPointwiseConv, GradientOfTheSources) {
  each([](const Operands& o, bool relu) {
    expect_gradients(o.x, o.dy.dtype(), [&](const std::vector<GradOut>& dx, bool there) {
      if (there)
        return cuda::pointwise_conv_backward_data(o.dy_there, o.x_there, o.w_there, relu, dx);
      cpu::pointwise_conv_backward_data(o.dy, o.x, o.w, relu, dx);
    });
  });
}

TEST(CudaPointwiseConv, GradientOfTheWeights) {
  each([](const Operands& o, bool relu) {
    expect_gradients(o.w, o.dy.dtype(), [&](const std::vector<GradOut>& dw, bool there) {
      if (there) return cuda::pointwise_conv_backward_weight(o.dy_there, o.x_there, relu, dw);
      cpu::pointwise_conv_backward_weight(o.dy, o.x, relu, dw);
    });
  });
}

}  // namespace
}  // namespace enas::test
