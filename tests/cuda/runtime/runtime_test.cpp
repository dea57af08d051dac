// The runtime of a GPU over a CUDA runtime that runs everything as late as it may: what the host
// must wait for, and what it must not.
#include "cuda/runtime.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>
#include <vector>

#include "cuda/stream.h"
#include "tensor/check.h"
#include "tensor/device.h"
#include "tests/cuda/runtime/fake_cudart.h"

namespace enas::cuda {
namespace {

using fake::calls;
using fake::knobs;

template <class F>
std::string error_of(ErrorKind kind, const F& f) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), kind) << e.what();
    return e.what();
  }
  return "no error";
}

struct Block {  // of device memory
  explicit Block(size_t n) : bytes(n), at(allocate(n)) {}
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() { release(at, bytes); }
  size_t bytes;
  void* at;
};

std::vector<int> numbers(size_t count, int first) {
  std::vector<int> values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

TEST(CudaRuntime, UnavailableSaysWhyInWords) {
  const fake::Knobs before = knobs();
  EXPECT_EQ(unavailable(), "");
  knobs().devices = cudaErrorInsufficientDriver;
  knobs().driver = 0;
  EXPECT_EQ(unavailable(),
            "no CUDA driver was found; install NVIDIA's driver, or use --device cpu");
  knobs().driver = 11080;
  EXPECT_NE(unavailable().find("too old: it serves CUDA up to 11.8, this build needs 1"),
            std::string::npos);
  knobs().driver = 13000;
  knobs().devices = cudaErrorNoDevice;
  EXPECT_NE(unavailable().find("sees no GPU"), std::string::npos);
  knobs().devices = cudaErrorUnknown;
  EXPECT_NE(unavailable().find("does not answer: words of the fake (cudaErrorOfTheFake)"),
            std::string::npos);
  knobs() = before;
  knobs().major = 7;
  knobs().minor = 5;
  EXPECT_NE(unavailable().find("compute capability 7.5, these kernels need 8.0"),
            std::string::npos);
  knobs() = before;
}

TEST(CudaRuntime, NamesTheDevice) {
  EXPECT_EQ(device_name(), "Fake GPU, sm_90, 79 GiB, driver 13.0");
  EXPECT_EQ(multiprocessors(), 7);
}

// The GPU lags behind for good: the host's memory changes at once, staging is used many times over.
TEST(CudaRuntime, UploadedMemoryMayChangeAtOnce) {
  const size_t count = size_t{5} << 20;  // 20 MiB, more than all staging
  Block big(count * sizeof(int)), small(400);
  std::vector<int> host = numbers(count, 1), few = numbers(100, 7);
  upload(big.at, host.data(), big.bytes);
  upload(small.at, few.data(), small.bytes);
  std::fill(host.begin(), host.end(), -1);
  std::fill(few.begin(), few.end(), -1);
  for (int i = 0; i < 100000; ++i) upload(small.at, few.data(), 4);  // through all chunks again
  download(host.data(), big.at, big.bytes);
  download(few.data(), small.at, small.bytes);
  EXPECT_EQ(host, numbers(count, 1));
  EXPECT_EQ(few[0], -1);
  EXPECT_EQ(few[99], 106);
}

// A GPU that keeps up is never waited for, and nothing is allocated.
TEST(CudaRuntime, AWarmStepNeitherWaitsNorAllocates) {
  std::vector<int> host = numbers(100000, 0), loss(1);
  const auto step = [&] {
    Block batch(host.size() * sizeof(int)), result(4);
    const Scratch scratch(1000);
    upload(batch.at, host.data(), batch.bytes);
    copy(result.at, batch.at, 4);
    PendingDownload* pending = begin_download(result.at, 4);
    fake::run_queued();
    finish_download(pending, loss.data());
  };
  step();
  reset_counters();
  const fake::Calls before = calls();
  for (int i = 0; i < 200; ++i) step();
  EXPECT_EQ(counters().device_allocations, 0u);
  EXPECT_EQ(calls().mallocs, before.mallocs);
  EXPECT_EQ(calls().synchronizes, before.synchronizes);
  EXPECT_EQ(counters().waits + counters().late_waits + counters().upload_waits, 0u);
}

TEST(CudaRuntime, CountersStartAnewAtWhatIsLive) {
  const Block held(1000);
  { const Block gone(5000); }
  reset_counters();
  const uint64_t live = counters().live_bytes;
  EXPECT_GE(live, 1024u);
  EXPECT_EQ(counters().peak_bytes, live);
  EXPECT_GE(counters().reserved_bytes, live);
  { const Block more(5000); }
  EXPECT_EQ(counters().peak_bytes, live + 5120);
}

TEST(CudaRuntime, PendingDownloadsHoldTheValuesOfTheirTime) {
  reset_counters();
  Block block(4);
  std::vector<PendingDownload*> pending;
  for (int i = 0; i < 20; ++i) {
    upload(block.at, &i, 4);
    pending.push_back(begin_download(block.at, 4));
  }
  for (int i = 0; i < 20; i += 3) drop_download(pending[static_cast<size_t>(i)]);
  for (int i = 19; i >= 0; --i) {  // in any order
    if (i % 3 == 0) continue;
    int value = -1;
    finish_download(pending[static_cast<size_t>(i)], &value);
    EXPECT_EQ(value, i);
  }
  EXPECT_EQ(counters().late_waits, 1u);  // the first brought all earlier ones
  EXPECT_EQ(counters().waits, 0u);
  int last = -1;
  download(&last, block.at, 4);
  EXPECT_EQ(last, 19);
  EXPECT_EQ(counters().waits, 1u);
}

TEST(CudaRuntime, DownloadsOfAllSizesInTurn) {
  const std::vector<int> host = numbers(100000, 3);
  Block block(host.size() * sizeof(int));
  upload(block.at, host.data(), block.bytes);
  for (const size_t count : {size_t{1}, size_t{100000}, size_t{2}, size_t{5000}, size_t{0}}) {
    std::vector<int> got(count), want(host.begin(), host.begin() + static_cast<long>(count));
    finish_download(begin_download(block.at, count * sizeof(int)), got.data());
    EXPECT_EQ(got, want) << count;
  }
}

TEST(CudaRuntime, AFaultIsThrownOnceAndReset) {
  int value = 0;
  Block block(4);
  upload(block.at, &value, 4);
  const Fault found{1, FaultOp::pick, 12, 3, 10};
  PendingDownload* before = begin_download(block.at, 4);
  upload(fault(), &found, sizeof(found));
  PendingDownload* first = begin_download(block.at, 4);
  PendingDownload* second = begin_download(block.at, 4);
  finish_download(before, &value);  // queued before the kernel
  EXPECT_EQ(error_of(ErrorKind::data, [&] { finish_download(first, &value); }),
            "pick: index 12 at position 3 is outside 10 rows");
  finish_download(second, &value);  // the same fault
  download(&value, block.at, 4);
  upload(fault(), &found, sizeof(found));  // another one
  PendingDownload* dropped = begin_download(block.at, 4);
  drop_download(dropped);
  EXPECT_EQ(error_of(ErrorKind::data, [&] { download(&value, block.at, 4); }),
            "pick: index 12 at position 3 is outside 10 rows");
  download(&value, block.at, 4);
}

TEST(CudaRuntime, ErrorsNameTheOp) {
  check_launch("matmul");
  knobs().last_error = cudaErrorIllegalAddress;
  EXPECT_EQ(error_of(ErrorKind::device, [] { check_launch("softmax"); }),
            "softmax: its kernel, or one before it, failed: words of the fake "
            "(cudaErrorOfTheFake); run again with ENAS_CUDA_CHECK=1 to learn which");
  Block block(4);
  int value = 0;
  knobs().sync_error = cudaErrorIllegalAddress;
  const std::string text = error_of(ErrorKind::device, [&] { download(&value, block.at, 4); });
  EXPECT_EQ(text.find("download: words of the fake"), 0u) << text;
  EXPECT_NE(text.find("'softmax'"), std::string::npos) << text;
}

TEST(CudaRuntime, LargeSharedMemoryIsAskedForOnceAKernel) {
  const int kernel = 0, other = 0;
  const uint64_t before = calls().attributes;
  allow_shared_memory("softmax", &kernel, 100000);
  allow_shared_memory("softmax", &kernel, 90000);
  EXPECT_EQ(calls().attributes, before + 1);
  allow_shared_memory("softmax", &kernel, 110000);
  allow_shared_memory("softmax", &other, 100000);
  EXPECT_EQ(calls().attributes, before + 3);
  EXPECT_EQ(error_of(ErrorKind::device, [&] { allow_shared_memory("softmax", &kernel, 300000); }),
            "softmax: needs 300000 bytes of shared memory a block, this GPU has 232448");
}

TEST(CudaRuntime, OutOfMemoryFirstGivesSlabsBack) {
  const fake::Knobs before = knobs();
  { const Block block(size_t{400} << 20); }
  { const Block larger(size_t{900} << 20); }  // 1 GiB has room for one of them
  const std::string text = error_of(ErrorKind::memory, [] { const Block block(size_t{2} << 30); });
  EXPECT_EQ(text.find("cuda memory: no room for 2048 MiB: "), 0u) << text;
  EXPECT_NE(text.find("free on the device; try a smaller --batch or a smaller network"),
            std::string::npos);
  knobs() = before;
}

// In a process of its own: these are read when the device is first asked for.
TEST(CudaRuntimeDeathTest, OptionsOfTheEnvironment) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto body = [] {
    for (const char* name : {"ENAS_CUDA_CHECK", "ENAS_CUDA_GUARD", "ENAS_CUDA_POISON"})
      setenv(name, "1", 1);
    Block block(100);
    unsigned char bytes[101];
    download(bytes, block.at, 100);
    const bool poisoned = bytes[0] == 0xff && bytes[99] == 0xff;
    upload(block.at, bytes, 101);
    const std::string guard = error_of(ErrorKind::internal, [] { check_guards("softmax"); });
    knobs().sync_error = cudaErrorIllegalAddress;
    const std::string failed = error_of(ErrorKind::device, [] { check_launch("softmax"); });
    const bool named =
        guard ==
            "softmax: a block of 100 bytes was overrun: byte 0 behind it was "
            "written" &&
        failed == "softmax: its kernel failed: words of the fake (cudaErrorOfTheFake)";
    std::exit(poisoned && named ? 0 : 1);
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(0), "");
}

TEST(CudaRuntimeDeathTest, CountingAsksNoDevice) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto body = [] {
    knobs().devices = cudaErrorNoDevice;
    count_only(true);
    Block block(size_t{100} << 30);
    int value = 5;
    upload(block.at, &value, 4);
    copy(block.at, block.at, 4);
    finish_download(begin_download(block.at, 4), &value);
    const bool zero = value == 0;
    value = 5;
    download(&value, block.at, 4);
    drop_download(begin_download(block.at, 4));
    const bool idle = calls().mallocs == 0 && calls().synchronizes == 0;
    std::exit(zero && value == 0 && idle && unavailable().empty() && multiprocessors() == 132 &&
                      fault() != nullptr && zeroed_words() != nullptr
                  ? 0
                  : 1);
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace enas::cuda
