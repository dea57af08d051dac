// Device memory under the shim: what is around a block, before its first write and after its
// release; transfers; the record of faults; matrix products.
#include <unistd.h>

#include <cmath>
#include <memory>

#include "cuda/blas.h"
#include "tensor/asan.h"
#include "tests/cuda/host_kernels.h"

namespace {

using namespace enas::cuda;
using test::DeviceVector;
using test::finding;
using test::says;

__global__ void write_at(float* x, int64_t i) { x[i] = 1.0f; }
__global__ void read_at(const float* x, int64_t i, float* out) { *out = x[i]; }
const Launch kOne = {dim3(1), dim3(1)};

TEST(CudaShimMemory, FindsWritesOutsideABlock) {
  if (enas::kAsan) GTEST_SKIP() << "AddressSanitizer ends the program first";
  DeviceVector<float> x(100);
  launch("write", write_at, kOne, x.data(), int64_t{99});
  for (const int64_t i : {-1, -64, 100, 127, 160}) {
    EXPECT_TRUE(says(finding([&] { launch("write", write_at, kOne, x.data(), i); }),
                     i < 0 ? "write: a kernel wrote before a block of 400 bytes"
                           : "write: a kernel wrote behind a block of 400 bytes"));
    launch("write", write_at, kOne, x.data(), int64_t{0});  // told once
  }
}

TEST(CudaShimMemory, ReadsOutsideABlockAndBeforeItsFirstWriteAreNaN) {
  if (enas::kAsan) GTEST_SKIP() << "AddressSanitizer ends the program first";
  for (int turn = 0; turn < 2; ++turn) {  // the second time the block is used again
    DeviceVector<float> x(10), out(1);
    for (const int64_t i : {-1, 0, 9, 10, 11}) {
      launch("read", read_at, kOne, x.data(), i, out.data());
      EXPECT_TRUE(std::isnan(out.values()[0])) << i;
    }
    launch("write", write_at, kOne, x.data(), int64_t{4});
  }
}

TEST(CudaShimMemory, FindsWritesAfterRelease) {
  if (enas::kAsan) GTEST_SKIP() << "AddressSanitizer ends the program first";
  DeviceVector<float> y(1);
  const float* released = nullptr;
  {
    DeviceVector<float> x(5000);
    released = x.data();
  }
  EXPECT_TRUE(says(finding([&] { launch("read", read_at, kOne, released, int64_t{0}, y.data()); }),
                   "read: argument 1 of the kernel points to device memory that is released"));
  const auto write_there = [&] { launch("write", write_at, kOne, y.data(), released - y.data()); };
  const char* text = "later: a kernel wrote to device memory after its release";
  write_there();
  EXPECT_TRUE(says(finding([] { check_guards("later"); }), text));
  write_there();
  std::vector<std::unique_ptr<DeviceVector<float>>> again;  // one of them is where x was
  while (again.empty() || again.back()->data() != released)
    again.push_back(std::make_unique<DeviceVector<float>>(5000));
  EXPECT_TRUE(says(finding([&] { launch("later", write_at, kOne, y.data(), int64_t{0}); }), text));
  check_guards("told once");
}

TEST(CudaShimMemory, RefusesPointersToHostMemory) {
  std::vector<float> mine(4);
  DeviceVector<float> out(1);
  EXPECT_TRUE(
      says(finding([&] { launch("read", read_at, kOne, mine.data(), int64_t{0}, out.data()); }),
           "read: argument 1 of the kernel points to host memory"));
}

// The system refuses to read for us what we may not read.
bool readable(const void* at) {
  int ends[2];
  if (pipe(ends) != 0) return false;
  const bool read = write(ends[1], at, 1) == 1;
  close(ends[0]);
  close(ends[1]);
  return read;
}

TEST(CudaShimMemory, DeviceAddressesAreClosedBetweenLaunches) {
  DeviceVector<float> x(4, 1.0f);
  EXPECT_FALSE(readable(x.data()));
  EXPECT_TRUE(readable(host::on_host(x.data())));
  launch("write", write_at, kOne, x.data(), int64_t{0});
  EXPECT_FALSE(readable(x.data()));
}

TEST(CudaShimMemoryDeathTest, HostCodeThatTouchesDeviceMemoryDies) {
  DeviceVector<float> x(4, 1.0f);
  volatile float* at = x.data();
  EXPECT_DEATH(*at = 2.0f, "host code touched device memory");
  launch("write", write_at, kOne, x.data(), int64_t{0});
  EXPECT_DEATH(*at = *at + 1, "host code touched device memory");
  EXPECT_EQ(*host::on_host(x.data()), 1.0f);
}

__global__ void deep(float* out, int64_t n) {
  volatile char large[size_t{96} << 10];
  large[n] = 1;
  *out = large[n];
}
TEST(CudaShimMemoryDeathTest, AThreadThatOverflowsItsStackDies) {
  if (enas::kAsan) GTEST_SKIP() << "AddressSanitizer tells it in its own words";
  DeviceVector<float> x(1);
  EXPECT_DEATH(launch("deep", deep, kOne, x.data(), int64_t{8}), "overflowed its stack");
}

TEST(CudaShimMemory, CopiesAndDownloads) {
  DeviceVector<float> x(std::vector<float>{1, 2, 3}), y(3);
  copy(y.data(), x.data(), 12);
  const Counters before = counters();
  EXPECT_EQ(y.values(), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(counters().waits, before.waits + 1);
  PendingDownload* early = begin_download(x.data(), 12);
  PendingDownload* dropped = begin_download(x.data(), 12);
  launch("write", write_at, kOne, x.data(), int64_t{2});
  PendingDownload* late = begin_download(x.data(), 12);
  std::vector<float> values(3);
  finish_download(early, values.data());  // what stood there when it was begun
  EXPECT_EQ(values, (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(counters().late_waits, before.late_waits);
  finish_download(late, values.data());  // nothing was queued behind it
  EXPECT_EQ(values, (std::vector<float>{1, 2, 1}));
  EXPECT_EQ(counters().late_waits, before.late_waits + 1);
  drop_download(dropped);
  EXPECT_EQ(counters().waits, before.waits + 1);
}

TEST(CudaShimMemory, GivesBackWhatNobodyUses) {
  DeviceVector<float> kept(10, 2.0f);
  launch("write", write_at, kOne, kept.data(), int64_t{0});  // what a launch needs is there
  const uint64_t before = counters().reserved_bytes;
  { DeviceVector<char> x(size_t{40} << 20), y(size_t{3} << 20); }
  EXPECT_LE(counters().reserved_bytes, before);
  DeviceVector<float> again(size_t{12} << 20);
  launch("write", write_at, kOne, again.data(), int64_t{0});
  EXPECT_TRUE(std::isnan(again.values()[5000]));
  EXPECT_EQ(kept.values()[9], 2.0f);
}

TEST(CudaShimMemory, AWarmStepAllocatesNothing) {
  const auto step = [] { DeviceVector<float> x(1000), y(70000), z(1); };
  step();
  const Counters before = counters();
  step();
  EXPECT_EQ(counters().device_allocations, before.device_allocations);
  EXPECT_EQ(counters().live_bytes, before.live_bytes);
  DeviceVector<float> x(1000);
  EXPECT_EQ(counters().live_bytes, before.live_bytes + 4000);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(x.data()) % 256, 0u);
}

__global__ void look_up(Fault* fault, int index) {
  if (index >= 10) report_fault(fault, FaultOp::gather_rows, index, threadIdx.x, 10);
}

TEST(CudaShimMemory, AFaultComesWithTheNextWait) {
  DeviceVector<int> x(1, 5);
  PendingDownload* before = begin_download(x.data(), 4);
  launch("gather_rows", look_up, {dim3(1), dim3(1)}, fault(), 12);
  PendingDownload* first = begin_download(x.data(), 4);
  PendingDownload* second = begin_download(x.data(), 4);
  int value = 0;
  finish_download(before, &value);
  EXPECT_EQ(value, 5);
  try {
    finish_download(first, &value);
    FAIL() << "no error";
  } catch (const enas::Error& error) {
    EXPECT_EQ(error.kind(), enas::ErrorKind::data);
    EXPECT_STREQ(error.what(), "gather_rows: index 12 at position 0 is outside 10 rows");
  }
  finish_download(second, &value);  // told once
  launch("gather_rows", look_up, {dim3(1), dim3(1)}, fault(), 3);
  EXPECT_EQ(x.values()[0], 5);
  launch("gather_rows", look_up, {dim3(1), dim3(1)}, fault(), 11);
  try {
    x.values();
    FAIL() << "no error";
  } catch (const enas::Error& error) {
    EXPECT_STREQ(error.what(), "gather_rows: index 11 at position 0 is outside 10 rows");
  }
  EXPECT_EQ(x.values()[0], 5);
}

TEST(CudaShimMemory, WhatIsOnlyCountedDoesNotRun) {
  DeviceVector<float> x(2, 3.0f);
  float* counted = nullptr;
  count_only(true);
  const Counters before = counters();
  counted = static_cast<float*>(allocate(8));
  launch("write", write_at, kOne, counted, int64_t{0});
  gemm<float>("matmul", false, false, 2, 3, 4, counted, 4, counted, 3, 0, counted, 3);
  EXPECT_EQ(counters().launches, before.launches + 2);
  EXPECT_EQ(counters().flops, before.flops + 48);
  std::vector<float> values(2, 1.0f);
  download(values.data(), counted, 8);
  EXPECT_EQ(values, std::vector<float>(2, 0.0f));
  release(counted, 8);
  count_only(false);
  EXPECT_EQ(x.values(), std::vector<float>(2, 3.0f));
}

// Against the definition, on matrices stored wider than they are.
template <class T>
void check_gemm(bool ta, bool tb, T beta) {
  constexpr int64_t m = 3, n = 4, k = 5, lda = 7, ldb = 6, ldc = 5;
  std::vector<T> a(lda * 5), b(ldb * 5), c(ldc * m, T{1}), want = c;
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<T>(i % 7) - 3;
  for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<T>(i % 5) - 2;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      T sum = beta;
      for (int64_t l = 0; l < k; ++l) {
        sum += a[static_cast<size_t>(ta ? l * lda + i : i * lda + l)] *
               b[static_cast<size_t>(tb ? j * ldb + l : l * ldb + j)];
      }
      want[static_cast<size_t>(i * ldc + j)] = sum;
    }
  }
  DeviceVector<T> da(a), db(b), dc(c);
  gemm<T>("matmul", ta, tb, m, n, k, da.data(), lda, db.data(), ldb, beta, dc.data(), ldc);
  EXPECT_EQ(dc.values(), want) << ta << tb << beta;
}

TEST(CudaShimMemory, MultipliesMatrices) {
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      check_gemm<float>(ta, tb, 0);
      check_gemm<double>(ta, tb, 1);
    }
  }
  DeviceVector<float> c(4);  // NaN before; k == 0 writes zeros
  gemm<float>("matmul", false, false, 2, 2, 0, nullptr, 0, nullptr, 2, 0, c.data(), 2);
  EXPECT_EQ(c.values(), std::vector<float>(4, 0.0f));
}

}  // namespace
