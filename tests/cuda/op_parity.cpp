// Every op case on Device::cuda against the CPU: forward, gradients, and gradients added to others,
// in f64 within rounding and in f32 within the case's bound; the same bits under every schedule of
// the shim, or in ten repeats on a GPU. Tests are named CudaParity.<family>/<label>.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "cuda/runtime.h"
#include "tests/cuda/schedules.h"
#include "tests/op_cases.h"

namespace enas::test {
namespace {

void expect_close(const std::vector<Tensor>& got, const std::vector<Tensor>& want, double relative,
                  const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t k = 0; k < want.size(); ++k) {
    ASSERT_EQ(got[k].shape(), want[k].shape()) << what << ' ' << k;
    const Values have = got[k].to_vector(), expected = want[k].to_vector();
    double scale = 1e-30;
    for (const double v : expected)
      scale = std::isfinite(v) ? std::max(scale, std::fabs(v)) : scale;
    for (size_t i = 0; i < expected.size(); ++i) {
      if (have[i] == expected[i] || (std::isnan(have[i]) && std::isnan(expected[i]))) continue;
      ASSERT_LE(std::fabs(have[i] - expected[i]), relative * scale)
          << what << ' ' << k << " element " << i << ": " << have[i] << ", on the CPU "
          << expected[i];
    }
  }
}

void expect_same_bits(const std::vector<Tensor>& got, const std::vector<Tensor>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t k = 0; k < want.size(); ++k) {
    const Tensor a = got[k].to(Device::cpu), b = want[k].to(Device::cpu);
    ASSERT_EQ(std::memcmp(a.raw(), b.raw(), a.bytes()), 0) << "output or gradient " << k;
  }
}

// The case with its inputs used again beside it, so that its backward adds to gradients.
OpCase beside_its_inputs(const OpCase& c) {
  OpCase with = c;
  with.op = [&c](Tape& tape, const std::vector<Var>& x) {
    std::vector<Var> all = c.op(tape, x);
    std::copy_if(x.begin(), x.end(), std::back_inserter(all),
                 [](const Var& v) { return v.has_grad(); });
    return all;
  };
  return with;
}

// want: of the CPU in f64 on the same inputs, which f32 holds exactly.
void compare(const OpCase& c, const std::vector<Tensor>& narrow, const Outcome& want, DType dtype,
             double relative) {
  const std::vector<Tensor> there = as_device(as_dtype(narrow, dtype), Device::cuda);
  Outcome first;
  for (int run = 0; run < cuda::test_runs(); ++run) {
    cuda::prepare_test_run(run);
    const Outcome got = run_case(c, there);
    for (const Tensor& y : got.outputs) ASSERT_EQ(y.device(), Device::cuda) << "an output";
    for (const Tensor& g : got.gradients) ASSERT_EQ(g.device(), Device::cuda) << "a gradient";
    if (run > 0) {
      expect_same_bits(got.outputs, first.outputs);
      expect_same_bits(got.gradients, first.gradients);
    } else {
      expect_close(got.outputs, want.outputs, c.exact ? 0 : relative, "output");
      expect_close(got.gradients, want.gradients, relative, "gradient");
      first = got;
    }
    if (testing::Test::HasFatalFailure()) return;
  }
}

class ParityTest : public testing::Test {
 public:
  explicit ParityTest(const OpCase* op_case) : case_(op_case) {}
  void TestBody() override {
    const double terms = static_cast<double>(case_->sum_length + 8);
    const OpCase adds = beside_its_inputs(*case_);
    for (const OpCase* c : {case_, &adds}) {
      SCOPED_TRACE(c == case_ ? "alone" : "beside other gradients");
      const std::vector<Tensor> narrow = as_dtype(draw_inputs(*c, 0), DType::f32);
      const Outcome want = run_case(*c, as_dtype(narrow, DType::f64));
      compare(*c, narrow, want, DType::f64, std::max(c->f64_relative, 4 * terms * 0x1p-53));
      if (HasFatalFailure()) return;
      compare(*c, narrow, want, DType::f32, 4 * terms * 0x1p-24);
      if (HasFatalFailure() || !c->gradient) return;
    }
  }

 private:
  const OpCase* case_;
};

// The shim runs some 10^7 threads a second: the cases of benchmarks are a GPU's.
bool too_large(const OpCase& c) {
  double elements = 0;
  for (const InputSpec& spec : c.inputs) elements += static_cast<double>(spec.shape.numel());
  return cuda::kOnHost && (elements > 40000 || c.flops > 2e7);
}

}  // namespace

void register_parity_tests() {
  for (const OpFamily& family : op_families()) {
    for (const OpCase& c : family.cases) {
      if (too_large(c)) continue;
      testing::RegisterTest("CudaParity", (family.name + "/" + c.label).c_str(), nullptr, nullptr,
                            __FILE__, __LINE__,
                            [&c]() -> testing::Test* { return new ParityTest(&c); });
    }
  }
}

}  // namespace enas::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  enas::test::register_parity_tests();
  const std::string why = GTEST_FLAG_GET(list_tests) ? "" : enas::cuda::unavailable();
  if (!why.empty()) {
    std::fprintf(stderr, "gpu_test: %s; nothing was tested\n", why.c_str());
    return static_cast<int>(enas::ErrorKind::device);
  }
  return RUN_ALL_TESTS();
}
