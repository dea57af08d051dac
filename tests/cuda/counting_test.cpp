// Every op case while only counting: no launcher looks at memory of the device, which nobody can
// read then; what is launched is counted and not run.
#include <gtest/gtest.h>

#include "cuda/runtime.h"
#include "tensor/check.h"
#include "tests/op_cases.h"

namespace enas::test {
namespace {

class CountOnly {
 public:
  CountOnly() { cuda::count_only(true); }
  CountOnly(const CountOnly&) = delete;
  CountOnly& operator=(const CountOnly&) = delete;
  ~CountOnly() { cuda::count_only(false); }
};

// Runs the case; false where its op has no kernel, which CudaParity tells.
bool count(const OpCase& c) {
  const CountOnly counting;
  cuda::reset_counters();
  try {
    const Outcome outcome =
        run_case(c, as_device(as_dtype(draw_inputs(c, 0), DType::f32), Device::cuda));
    for (const Tensor& y : outcome.outputs) {
      for (const double value : y.to_vector()) EXPECT_EQ(value, 0.0);
    }
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("has no CUDA kernel"), std::string::npos) << e.what();
    return false;
  }
  return true;
}

TEST(CudaCounting, EveryOpCaseIsCountedAndNotRun) {
  int counted = 0;
  for (const OpFamily& family : op_families()) {
    for (const OpCase& c : family.cases) {
      int64_t elements = 0;
      for (const InputSpec& spec : c.inputs) elements += spec.shape.numel();
      if (elements > 100000) continue;  // drawing them takes time
      SCOPED_TRACE(family.name + "/" + c.label);
      const uint64_t live = cuda::counters().live_bytes;
      if (!count(c)) continue;
      EXPECT_GT(cuda::counters().launches, 0u);
      EXPECT_LE(cuda::counters().live_bytes, live + (size_t{33} << 20)) << "beside a workspace";
      ++counted;
    }
  }
  EXPECT_GT(counted, 50);
}

}  // namespace
}  // namespace enas::test
