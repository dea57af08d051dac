// Protocols between blocks under the shim: right ones pass under each schedule, and each wrong one
// is found by at least one.
#include "tests/cuda/host_kernels.h"

namespace {

using namespace enas::cuda;
using host::Schedule;
using test::DeviceVector;
using test::finding;
using test::says;

// cuda/sync.cuh's last_block, and it without a barrier. 1: none before the count; 2: none behind;
// 3: the counter not left at zero.
__device__ bool last_block_of(unsigned* counter, const Shared<unsigned>& shared, int fault) {
  if (fault == 0) return last_block(counter, shared);
  if (fault != 1) __syncthreads();
  if (threadIdx.x == 0) {
    const unsigned blocks = gridDim.x, arrived = atomicAdd(counter, 1u);
    if (arrived == blocks - 1 && fault != 3) atomicExch(counter, 0u);
    shared.set(0, arrived == blocks - 1 ? 1u : 0u);
  }
  if (fault != 2) __syncthreads();
  return shared.get(0) != 0;
}

// Each thread leaves a number; the last block adds up those of all.
__global__ void total(const int* in, int* parts, long long* out, unsigned* counter, int fault) {
  ENAS_SHARED(shared);
  const Shared<unsigned> word(shared, 0, 1);
  const unsigned all = gridDim.x * blockDim.x;
  parts[blockIdx.x * blockDim.x + threadIdx.x] = in[blockIdx.x * blockDim.x + threadIdx.x];
  if (!last_block_of(counter, word, fault) || threadIdx.x > 0) return;
  long long sum = 0;
  for (unsigned i = 0; i < all; ++i) sum += parts[i];
  *out = sum;
}

// Whether the sum is right and no check speaks.
bool total_is_right(int fault, unsigned blocks, unsigned threads) {
  const unsigned n = blocks * threads;
  DeviceVector<int> in(n, 3), parts(n, -1000);
  DeviceVector<long long> out(1, 0);
  const std::string text = finding([&] {
    launch("total", total, {dim3(blocks), dim3(threads), 4}, in.data(), parts.data(), out.data(),
           zeroed_words(), fault);
  });
  return text.empty() && out.values()[0] == 3ll * n;
}

class CudaShimSync : public test::CudaShimTest {};
ENAS_SCHEDULES(CudaShimSync);

TEST_P(CudaShimSync, LastBlockSeesAllOthers) {
  for (const unsigned blocks : {1u, 2u, 9u, 40u}) EXPECT_TRUE(total_is_right(0, blocks, 64));
}

TEST_P(CudaShimSync, FindsACounterThatIsNotLeftAtZero) {
  EXPECT_FALSE(total_is_right(3, 5, 32));
  EXPECT_TRUE(total_is_right(0, 5, 32));  // it is mended for the next
}

// Schedules that show the fault in some of ten launches.
std::vector<Schedule> finders(int fault) {
  std::vector<Schedule> found;
  for (const Schedule schedule : host::kSchedules) {
    host::set_schedule(schedule, 1);
    int wrong = 0;
    for (int i = 0; i < 10; ++i) wrong += total_is_right(fault, 6, 64) ? 0 : 1;
    if (wrong > 0) found.push_back(schedule);
  }
  host::set_schedule(Schedule::round_robin);
  return found;
}

TEST(CudaShimProtocols, ABrokenLastBlockIsFound) {
  EXPECT_EQ(finders(0), std::vector<Schedule>{});
  const std::vector<Schedule> early = finders(1);  // counted before all have written
  EXPECT_NE(std::find(early.begin(), early.end(), Schedule::random), early.end());
  EXPECT_NE(std::find(early.begin(), early.end(), Schedule::greedy), early.end());
  EXPECT_EQ(finders(2).size(), 4u);  // a race on shared memory
}

// All blocks meet: each adds to a count and waits until it is full. 1: does not wait.
__global__ void grid_meeting(int* parts, int* out, unsigned* counter, int fault) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  parts[i] = 1;
  __syncthreads();
  if (threadIdx.x == 0) {
    atomicAdd(counter, 1u);
    while (fault == 0 && *const_cast<volatile unsigned*>(counter) < gridDim.x) {
      host::pause_in_spin();
    }
  }
  __syncthreads();
  int sum = 0;
  for (unsigned k = 0; k < gridDim.x * blockDim.x; ++k) sum += parts[k];
  out[i] = sum;
}

bool meeting_is_right(int fault) {
  DeviceVector<int> parts(160, 0), out(160, 0);
  DeviceVector<unsigned> counter(1, 0);
  launch_cooperative("meeting", grid_meeting, {dim3(5), dim3(32)}, parts.data(), out.data(),
                     counter.data(), fault);
  return out.values() == std::vector<int>(160, 160);
}

TEST_P(CudaShimSync, BlocksOfACooperativeLaunchMeet) { EXPECT_TRUE(meeting_is_right(0)); }

TEST(CudaShimProtocols, ABrokenGridBarrierIsFound) {
  for (const Schedule schedule : {Schedule::random, Schedule::greedy}) {
    host::set_schedule(schedule, 1);
    int wrong = 0;
    for (int i = 0; i < 10; ++i) wrong += meeting_is_right(1) ? 0 : 1;
    EXPECT_GT(wrong, 0) << name_of(schedule);
  }
  host::set_schedule(Schedule::round_robin);
}

// Blocks add to a count in turn, a hundred times: long waits are no livelock.
__global__ void token(unsigned* count) {
  for (unsigned turn = blockIdx.x; turn < 100 * gridDim.x; turn += gridDim.x) {
    while (*static_cast<volatile unsigned*>(count) != turn) host::pause_in_spin();
    atomicAdd(count, 1u);
  }
}

TEST_P(CudaShimSync, LongWaitsAreNoLivelock) {
  DeviceVector<unsigned> count(1, 0);
  launch_cooperative("token", token, {dim3(5), dim3(1)}, count.data());
  EXPECT_EQ(count.values()[0], 500u);
}

// 0: right; 1: an increment that loses others'; 2: the result marked as there before it is.
__global__ void increments(unsigned* count, unsigned* parts, unsigned* sum, int fault) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x, n = gridDim.x * blockDim.x;
  if (fault != 2) parts[i] = 1;
  const unsigned before = fault == 1 ? atomicExch(count, *count + 1) : atomicAdd(count, 1u);
  if (fault == 2) parts[i] = 1;
  if (before != n - 1) return;
  for (unsigned k = 0; k < n; ++k) *sum += parts[k];
}

TEST(CudaShimProtocols, AnotherThreadComesBetweenAtomics) {
  host::set_schedule(Schedule::random, 1);
  for (const int fault : {0, 1, 2}) {
    int wrong = 0;
    for (int i = 0; i < 10; ++i) {
      DeviceVector<unsigned> count(1, 0), parts(64, 0), sum(1, 0);
      launch("increments", increments, {dim3(2), dim3(32)}, count.data(), parts.data(), sum.data(),
             fault);
      wrong += sum.values()[0] == 64 ? 0 : 1;
    }
    EXPECT_EQ(wrong > 0, fault > 0) << fault;
  }
  host::set_schedule(Schedule::round_robin);
}

// Without launch_cooperative a GPU may run the blocks one after another.
TEST(CudaShimProtocols, BlocksThatWaitForEachOtherNeedACooperativeLaunch) {
  host::set_schedule(Schedule::round_robin);
  DeviceVector<int> parts(160, 0), out(160, 0);
  DeviceVector<unsigned> counter(1, 0);
  EXPECT_TRUE(says(finding([&] {
                     launch("meeting", grid_meeting, {dim3(5), dim3(32)}, parts.data(), out.data(),
                            counter.data(), 0);
                   }),
                   "livelock"));
}

}  // namespace
