// The checks of the shim: each finds a small wrong kernel under every schedule, and says nothing of
// the right one.
#include <regex>
#include <stdexcept>

#include "tests/cuda/host_kernels.h"

namespace {

using namespace enas::cuda;
using test::DeviceVector;
using test::finding;
using test::says;

class CudaShimChecks : public test::CudaShimTest {};
ENAS_SCHEDULES(CudaShimChecks);

// What a launch of `kernel` by 2 blocks of 64 threads with 512 bytes of shared memory finds.
template <class... P, class... A>
std::string found(void (*kernel)(P...), A... args) {
  return finding([&] { launch("wrong", kernel, {dim3(2), dim3(64), 512}, args...); });
}

// Each thread reads what its neighbour wrote. 0: right; 1: no barrier; 2: no barrier before the
// buffer is used again; 3: all write one word; 4: nobody writes; 5: half of the words; 6: the
// barrier half of the threads reach.
__global__ void neighbours(float* out, int fault) {
  ENAS_SHARED(shared);
  const Shared<float> row(shared, 0, 64);
  const unsigned t = threadIdx.x, i = blockIdx.x * 64 + t;
  for (int turn = 0; turn < 2; ++turn) {
    if (fault != 4 && (fault != 5 || t % 2 == 0)) row.set(fault == 3 ? 0 : t, 1.0f);
    if (fault != 1) __syncthreads();
    if (fault != 3) out[i] = row.get((t + 33) % 64);
    if (fault != 2) __syncthreads();
  }
}

TEST_P(CudaShimChecks, FindsRacesBetweenWarps) {
  DeviceVector<float> out(128);
  EXPECT_EQ(found(neighbours, out.data(), 0), "");
  EXPECT_EQ(out.values(), std::vector<float>(128, 1.0f));
  const std::string no_barrier = found(neighbours, out.data(), 1);
  EXPECT_TRUE(no_barrier.find("race on shared memory") != no_barrier.npos ||
              no_barrier.find("read before it is written") != no_barrier.npos)
      << no_barrier;
  EXPECT_TRUE(says(found(neighbours, out.data(), 2), "race on shared memory"));
  EXPECT_TRUE(
      says(found(neighbours, out.data(), 3), "write-write race on shared memory at byte 0"));
}

TEST_P(CudaShimChecks, FindsUninitialisedReads) {
  DeviceVector<float> out(128);
  for (const int fault : {4, 5}) {
    EXPECT_TRUE(says(found(neighbours, out.data(), fault), "read before it is written"));
  }
}

TEST_P(CudaShimChecks, NamesTheOpBlockThreadAndSchedule) {
  DeviceVector<float> out(128);
  const std::string text = found(neighbours, out.data(), 4);
  const std::regex form(
      "wrong: shared memory read .*, in block \\([01], 0, 0\\) thread \\([0-9]+, 0, 0\\) "
      "\\(schedule [a-z_]+, seed 7\\)");
  EXPECT_TRUE(std::regex_match(text, form)) << text;
}

// Within a warp. 0: right; 1: no __syncwarp; 2: a shuffle in its place, which orders no memory.
__global__ void lanes(float* out, int fault) {
  ENAS_SHARED(shared);
  const Shared<float> row(shared, 0, 64);
  const unsigned t = threadIdx.x, other = t ^ 1u;
  row.set(t, static_cast<float>(t));
  if (fault == 0) __syncwarp();
  if (fault == 2) __shfl_xor_sync(kAllLanes, 0, 1);
  const float value = row.get(other);
  if (fault == 0) __syncwarp();
  if (fault == 2) __shfl_xor_sync(kAllLanes, 0, 1);
  row.set(t, value);
  out[blockIdx.x * 64 + t] = value;
}

TEST_P(CudaShimChecks, FindsRacesWithinAWarp) {
  DeviceVector<float> out(128);
  EXPECT_EQ(found(lanes, out.data(), 0), "");
  EXPECT_EQ(out.values()[3], 2.0f);
  for (const int fault : {1, 2}) {
    const std::string text = found(lanes, out.data(), fault);
    EXPECT_TRUE(text.find("race on shared memory") != text.npos ||
                text.find("read before it is written") != text.npos)
        << text;
  }
}

// One word that many read and then one thread writes. Readers: threads of a mask over 64, or all.
// fence: 0 nothing, 1 __syncwarp, 2 __syncthreads.
__global__ void read_then_write(float* out, unsigned long long readers, unsigned writer,
                                int fence) {
  ENAS_SHARED(shared);
  const Shared<float> word(shared, 0, 1);
  const unsigned t = threadIdx.x;
  if (t == 0) word.set(0, 2.0f);
  __syncthreads();
  if ((readers >> t & 1) != 0) out[t] = word.get(0);
  if (fence == 1) __syncwarp();
  if (fence == 2) __syncthreads();
  if (t == writer) word.set(0, 3.0f);
}

TEST_P(CudaShimChecks, FindsWritesOverWhatOthersRead) {
  struct Case {
    unsigned long long readers;
    unsigned writer;
    int fence;
    bool right;
  };
  const Case cases[] = {
      {0x8, 3, 0, true},           {0x8, 4, 0, false},    {0x8, 4, 1, true},
      {0x8, 40, 1, false},         {0x1c, 3, 0, false},   {0x1c, 3, 1, true},
      {0x1c, 63, 1, false},        {~0ull, 63, 1, false}, {~0ull, 0, 1, false},
      {1ull << 40, 0, 0, false},   {~0ull, 63, 2, true},  {0x100000008, 3, 1, false},
      {0x100000008, 32, 1, false},
  };
  DeviceVector<float> out(64);
  for (const Case& c : cases) {
    const std::string text = finding([&] {
      launch("wrong", read_then_write, {dim3(1), dim3(64), 4}, out.data(), c.readers, c.writer,
             c.fence);
    });
    const bool race = says(text, "race on shared memory at byte 0");
    EXPECT_EQ(text.empty(), c.right) << std::hex << c.readers << ' ' << c.writer << ' ' << c.fence;
    EXPECT_EQ(race, !c.right) << text;
    if (GetParam() == host::Schedule::round_robin && !c.right && c.writer == 63) {
      EXPECT_TRUE(says(text, "read-write race"));
    }
  }
}

// 0: right; 1: another index; 2: a vector over the end; 3: a misaligned vector; 4: a view that the
// block's memory does not hold; 5: a misaligned view.
__global__ void bounds(int fault) {
  ENAS_SHARED(shared);
  const Shared<float> row(shared, fault == 4 ? 388 : fault == 5 ? 2 : 0, 32);
  if (threadIdx.x > 0) return;
  for (unsigned i = 0; i < 32; ++i) row.set(i, 0.0f);
  if (fault == 1) row.set(32, 0.0f);
  const float4 v = row.get_as<float4>(fault == 2 ? 30 : fault == 3 ? 2 : 28);
  row.set(0, v.x);
}

TEST_P(CudaShimChecks, FindsAccessesOutOfRange) {
  EXPECT_EQ(found(bounds, 0), "");
  EXPECT_TRUE(says(found(bounds, 1), "shared memory index 32 is out of range of a view of 32"));
  EXPECT_TRUE(says(found(bounds, 2), "index 30 (of 4 elements) is out of range"));
  EXPECT_TRUE(says(found(bounds, 3), "misaligned shared memory access at byte 8"));
  EXPECT_TRUE(says(found(bounds, 4), "a view of 128 bytes at byte 388 does not fit the 512"));
  EXPECT_TRUE(says(found(bounds, 5), "misaligned shared memory view at byte 2"));
}

// 0: right; 1: some of the threads pass one barrier, the others another; 2: some return; 3: some
// return while others wait.
__global__ void barriers(int fault) {
  const bool some = threadIdx.x >= 40;
  if (fault == 2 && some) return;
  if (fault == 1 && some) {
    __syncthreads();
  } else if (fault != 3 || !some) {
    __syncthreads();
  }
}

TEST_P(CudaShimChecks, FindsDivergentBarriers) {
  EXPECT_EQ(found(barriers, 0), "");
  EXPECT_TRUE(says(found(barriers, 1),
                   "divergent barrier: others of the block wait at "
                   "host_checks_test.cpp:"));
  for (const int fault : {2, 3}) {
    EXPECT_TRUE(says(found(barriers, fault), "never reached by a thread that has returned"));
  }
}

// 0: right; 1: the lanes of a warp in different shuffles; 2: half of them in none; 3: a part mask;
// 4: half of the lanes at a barrier.
__global__ void collectives(int fault) {
  const bool some = threadIdx.x % 2 == 1;
  if (fault == 1 && some) {
    __shfl_down_sync(kAllLanes, 1, 1);
  } else if (fault == 3) {
    __shfl_xor_sync(0xffffu, 1, 1);
  } else if (fault == 4 && some) {
    __syncthreads();
  } else if (fault != 2 || !some) {
    __shfl_xor_sync(kAllLanes, 1, 1);
  }
}

TEST_P(CudaShimChecks, FindsMismatchedWarpCollectives) {
  EXPECT_EQ(found(collectives, 0), "");
  EXPECT_TRUE(says(found(collectives, 1), "mismatched warp collectives: other lanes wait in"));
  EXPECT_TRUE(says(found(collectives, 2), "deadlock: 16 of 32 lanes of warp"));
  EXPECT_TRUE(says(found(collectives, 3), "under a mask that is not full"));
  EXPECT_TRUE(says(found(collectives, 4), "threads wait at the barrier of host_checks_test"));
  EXPECT_TRUE(says(finding([] {
                     launch("wrong", collectives, {dim3(1), dim3(48)}, 0);
                   }),
                   "in a warp of fewer than 32 threads"));
}

__global__ void throws(int fault) {
  if (threadIdx.x == 37 && fault == 1) throw std::runtime_error("no such row");
  if (threadIdx.x == 37 && fault == 2) throw 1;
}

TEST_P(CudaShimChecks, PassesOnExceptionsOfDeviceCode) {
  EXPECT_EQ(found(throws, 0), "");
  EXPECT_TRUE(says(found(throws, 1), "device code threw \"no such row\", in block ("));
  EXPECT_TRUE(says(found(throws, 2), "device code threw, in block ("));
}

TEST_P(CudaShimChecks, ALaunchAfterAFindingIsClean) {
  DeviceVector<float> out(128);
  for (const int fault : {1, 2, 3, 4, 5}) {
    EXPECT_NE(found(neighbours, out.data(), fault), "");
    EXPECT_EQ(found(neighbours, out.data(), 0), "");
    EXPECT_EQ(out.values(), std::vector<float>(128, 1.0f));
  }
}

__global__ void launches_itself(int) { launch("inner", throws, {dim3(1), dim3(1)}, 0); }

TEST_P(CudaShimChecks, RefusesWhatAGpuRefuses) {
  const auto refused = [](const Launch& how) {
    return finding([&] { launch("big", throws, how, 0); });
  };
  EXPECT_EQ(refused({dim3(1), dim3(1024)}), "");
  EXPECT_TRUE(says(refused({dim3(1), dim3(1025)}), "big: a block of 1025 x 1 x 1 threads"));
  EXPECT_TRUE(says(refused({dim3(1, 65536), dim3(32)}), "at most 65535 in y and z"));
  EXPECT_TRUE(says(refused({dim3(1), dim3(32), size_t{1} << 20}), "bytes of shared memory"));
  EXPECT_TRUE(says(found(launches_itself, 0), "inner: a launch from device code"));
}

}  // namespace
