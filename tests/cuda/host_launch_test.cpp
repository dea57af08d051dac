// The shim (cuda/host/): what a kernel may use, under each schedule.
#include <numeric>
#include <set>

#include "tests/cuda/host_kernels.h"

namespace {

using namespace enas::cuda;
using test::DeviceVector;

class CudaShim : public test::CudaShimTest {};
ENAS_SCHEDULES(CudaShim);

__global__ void indices(unsigned* out) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 1000 + thread;
}

TEST_P(CudaShim, RunsEveryThreadOfEveryBlockOnce) {
  DeviceVector<unsigned> out(24 * 30);
  launch("indices", indices, {dim3(2, 3, 4), dim3(5, 3, 2)}, out.data());
  const std::vector<unsigned> values = out.values();
  for (unsigned i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], i / 30 * 1000 + i % 30);
}

__global__ void one(int* out) { out[0] = 1; }

TEST_P(CudaShim, AGridOfNoBlocksIsNoWork) {
  DeviceVector<int> out(1, 0);
  const uint64_t before = counters().launches;
  launch("one", one, {dim3(0), dim3(32)}, out.data());
  EXPECT_EQ(out.values()[0], 0);
  EXPECT_EQ(counters().launches, before);
  launch("one", one, {dim3(1), dim3(32)}, out.data());
  EXPECT_EQ(out.values()[0], 1);
  EXPECT_EQ(counters().launches, before + 1);
}

__global__ void block_sums(const float* in, float* out) {
  ENAS_SHARED(shared);
  const Shared<float> scratch(shared, 0, kWarp);
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  const float total = block_reduce<Sum>(__ldg(in + i), scratch);
  const float most = block_reduce<Max>(__ldg(in + i), scratch);
  reinterpret_cast<float2*>(out)[i] = make_float2(total, most);
}

TEST_P(CudaShim, ReducesOverABlock) {
  std::vector<float> in(12 * 96);
  std::iota(in.begin(), in.end(), 0.0f);
  DeviceVector<float> x(in), y(in.size() * 2);
  launch("block_sums", block_sums, {dim3(12), dim3(96), kWarp * sizeof(float)}, x.data(), y.data());
  const std::vector<float> out = y.values();
  for (unsigned i = 0; i < in.size(); ++i) {
    const auto first = static_cast<float>(i / 96 * 96);
    ASSERT_EQ(out[2 * i], 96.0f * first + 95.0f * 48.0f);
    ASSERT_EQ(out[2 * i + 1], first + 95.0f);
  }
}

// Each lane's value is its thread's index; a warp of another block holds others.
__global__ void shuffles(double* doubles, int* ints) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  const auto own = static_cast<double>(i);
  doubles[3 * i] = __shfl_xor_sync(kAllLanes, own, 5);
  doubles[3 * i + 1] = __shfl_down_sync(kAllLanes, own, 3);
  doubles[3 * i + 2] = __shfl_up_sync(kAllLanes, own, 4);
  ints[4 * i] = __shfl_sync(kAllLanes, static_cast<int>(i), 9);
  ints[4 * i + 1] = static_cast<int>(__ballot_sync(kAllLanes, i % 3 == 0));
  ints[4 * i + 2] = __any_sync(kAllLanes, i == 40);
  ints[4 * i + 3] = __all_sync(kAllLanes, i < 64);
}

TEST_P(CudaShim, ShufflesAndVotesStayInTheirWarp) {
  DeviceVector<double> doubles(128 * 3);
  DeviceVector<int> ints(128 * 4);
  launch("shuffles", shuffles, {dim3(2), dim3(64)}, doubles.data(), ints.data());
  const std::vector<double> d = doubles.values();
  const std::vector<int> n = ints.values();
  for (unsigned i = 0; i < 128; ++i) {
    const unsigned lane = i % 32, first = i - lane;
    EXPECT_EQ(d[3 * i], first + (lane ^ 5u));
    EXPECT_EQ(d[3 * i + 1], lane + 3 < 32 ? i + 3 : i);
    EXPECT_EQ(d[3 * i + 2], lane >= 4 ? i - 4 : i);
    EXPECT_EQ(n[4 * i], static_cast<int>(first + 9));
    unsigned ballot = 0;
    for (unsigned l = 0; l < 32; ++l) ballot |= (first + l) % 3 == 0 ? 1u << l : 0u;
    EXPECT_EQ(n[4 * i + 1], static_cast<int>(ballot));
    EXPECT_EQ(n[4 * i + 2], first == 32);
    EXPECT_EQ(n[4 * i + 3], first < 64);
  }
}

__global__ void votes(int* out) {
  const int any = __syncthreads_or(threadIdx.x == 33 && blockIdx.x == 1);
  const int all = __syncthreads_and(threadIdx.x != 33 || blockIdx.x == 1);
  out[blockIdx.x * blockDim.x + threadIdx.x] = 2 * any + all;
}

TEST_P(CudaShim, ABlockVotesAtABarrier) {
  DeviceVector<int> out(3 * 64);
  launch("votes", votes, {dim3(3), dim3(64)}, out.data());
  const std::vector<int> values = out.values();
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], i / 64 == 1 ? 3 : 0);
}

__global__ void atomics(unsigned* count, unsigned long long* sum, int* low, int* high,
                        unsigned* ticket_seen, int* lock_value) {
  const auto i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const unsigned ticket = atomicAdd(count, 1u);
  atomicExch(&ticket_seen[ticket], 1u);
  atomicAdd(sum, static_cast<unsigned long long>(i));
  atomicMin(low, i - 50);
  atomicMax(high, i);
  if (atomicCAS(lock_value, -1, i) == -1) ticket_seen[500] = 1;
}

TEST_P(CudaShim, AtomicsLoseNothing) {
  DeviceVector<unsigned> count(1, 0), seen(501, 0);
  DeviceVector<unsigned long long> sum(1, ~0ull << 32);
  DeviceVector<int> low(1, 0), high(1, 0), lock(1, -1);
  launch("atomics", atomics, {dim3(10), dim3(50)}, count.data(), sum.data(), low.data(),
         high.data(), seen.data(), lock.data());
  EXPECT_EQ(count.values()[0], 500u);
  EXPECT_EQ(sum.values()[0], (~0ull << 32) + 499 * 250);
  EXPECT_EQ(low.values()[0], -50);
  EXPECT_EQ(high.values()[0], 499);
  EXPECT_GE(lock.values()[0], 0);
  EXPECT_EQ(seen.values(), std::vector<unsigned>(501, 1));
}

// Shared memory through vectors, and narrow elements side by side.
__global__ void transpose(const float* in, float* out, unsigned short* narrow_out) {
  ENAS_SHARED(shared);
  const Shared<float> tile(shared, 0, 128);
  const Shared<unsigned short> narrow(shared, 512, 32);
  const unsigned t = threadIdx.x;
  tile.set_as<float4>(4 * t, reinterpret_cast<const float4*>(in)[t]);
  narrow.set(t, static_cast<unsigned short>(t));
  __syncthreads();
  for (unsigned i = 0; i < 4; ++i) out[i * 32 + t] = tile.get(4 * t + i);
  narrow_out[t] = narrow.get(31 - t);
}

TEST_P(CudaShim, SharedMemoryHoldsWhatWasSet) {
  std::vector<float> in(128);
  std::iota(in.begin(), in.end(), 0.0f);
  DeviceVector<float> x(in), y(128);
  DeviceVector<unsigned short> narrow(32);
  launch("transpose", transpose, {dim3(1), dim3(32), 512 + 64}, x.data(), y.data(), narrow.data());
  for (unsigned i = 0; i < 128; ++i)
    EXPECT_EQ(y.values()[i], static_cast<float>(i % 32 * 4 + i / 32));
  for (unsigned i = 0; i < 32; ++i) EXPECT_EQ(narrow.values()[i], 31 - i);
}

// The order in which the threads of 8 blocks came.
__global__ void arrivals(unsigned* count, unsigned* order) {
  __syncthreads();
  order[atomicAdd(count, 1u)] = blockIdx.x * blockDim.x + threadIdx.x;
}
std::vector<unsigned> order_of(host::Schedule schedule, uint64_t seed) {
  host::set_schedule(schedule, seed);
  DeviceVector<unsigned> count(1, 0), order(256);
  launch("arrivals", arrivals, {dim3(8), dim3(32)}, count.data(), order.data());
  return order.values();
}

TEST(CudaShimSchedules, DifferAndRepeat) {
  std::set<std::vector<unsigned>> orders;
  for (const host::Schedule schedule : host::kSchedules) {
    const std::vector<unsigned> order = order_of(schedule, 1);
    orders.insert(order);
    EXPECT_EQ(order_of(schedule, 1), order) << name_of(schedule);
  }
  EXPECT_EQ(orders.size(), 4u);
  EXPECT_NE(order_of(host::Schedule::random, 1), order_of(host::Schedule::random, 2));
  EXPECT_NE(order_of(host::Schedule::greedy, 1), order_of(host::Schedule::greedy, 2));
  host::set_schedule(host::Schedule::round_robin);
}

}  // namespace
