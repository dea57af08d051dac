// The shim itself (cuda/host): indices, barriers, warps, atomics and the checks of each.
#include <gtest/gtest.h>

#include <numeric>

#include "tests/cuda/host_kernels.h"

namespace {

using namespace enas::cuda;
using enas::cuda::host::Schedule;
using test::DeviceVector;

__global__ void indices(unsigned* out) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 1000 + thread;
}

class CudaShim : public testing::TestWithParam<Schedule> {
 protected:
  void SetUp() override { host::set_schedule(GetParam(), 7); }
  void TearDown() override { host::set_schedule(Schedule::round_robin); }
};
INSTANTIATE_TEST_SUITE_P(Schedules, CudaShim, testing::ValuesIn(host::kSchedules),
                         [](const auto& test) { return std::string(name_of(test.param)); });

TEST_P(CudaShim, RunsEveryThreadOfEveryBlockOnce) {
  DeviceVector<unsigned> out(24 * 30);
  launch("indices", indices, {dim3(2, 3, 4), dim3(5, 3, 2)}, out.data());
  const std::vector<unsigned> values = out.values();
  for (unsigned i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], i / 30 * 1000 + i % 30);
}

__global__ void nothing(int* out) { out[0] = 1; }

TEST_P(CudaShim, AGridOfNoBlocksIsNoWork) {
  DeviceVector<int> out(1, 0);
  const uint64_t before = counters().launches;
  launch("nothing", nothing, {dim3(0), dim3(32)}, out.data());
  EXPECT_EQ(out.values()[0], 0);
  EXPECT_EQ(counters().launches, before);
}

__global__ void block_sums(const float* in, float* out) {
  ENAS_SHARED(shared);
  const Shared<float> scratch(shared, 0, kWarp);
  const float total = block_reduce<Sum>(in[blockIdx.x * blockDim.x + threadIdx.x], scratch);
  const float most = block_reduce<Max>(in[blockIdx.x * blockDim.x + threadIdx.x], scratch);
  out[(blockIdx.x * blockDim.x + threadIdx.x) * 2] = total;
  out[(blockIdx.x * blockDim.x + threadIdx.x) * 2 + 1] = most;
}

TEST_P(CudaShim, ReducesOverABlock) {
  std::vector<float> in(5 * 96);
  std::iota(in.begin(), in.end(), 0.0f);
  DeviceVector<float> x(in), y(in.size() * 2);
  launch("block_sums", block_sums, {dim3(5), dim3(96), kWarp * sizeof(float)}, x.data(), y.data());
  const std::vector<float> out = y.values();
  for (unsigned i = 0; i < in.size(); ++i) {
    const unsigned first = i / 96 * 96;
    EXPECT_EQ(out[2 * i], 96.0f * static_cast<float>(first) + 95.0f * 48.0f);
    EXPECT_EQ(out[2 * i + 1], static_cast<float>(first + 95));
  }
}

}  // namespace
