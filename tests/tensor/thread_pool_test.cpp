#include "tensor/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tensor/check.h"

namespace enas {
namespace {

class ThreadPoolTest : public testing::Test {
 protected:
  void TearDown() override { set_thread_count(0); }
};

TEST_F(ThreadPoolTest, EveryChunkRunsOnce) {
  for (int threads = 1; threads <= 8; ++threads) {
    set_thread_count(threads);
    ASSERT_EQ(thread_count(), threads);
    std::vector<std::atomic<int>> hits(64);
    for (int region = 0; region < 2000; ++region) {
      const int chunks = region % 64 + 1;
      for (auto& hit : hits) hit = 0;
      parallel_chunks(chunks, [&](int chunk) { ++hits[static_cast<size_t>(chunk)]; });
      for (int k = 0; k < 64; ++k)
        ASSERT_EQ(hits[static_cast<size_t>(k)], k < chunks ? 1 : 0) << "region " << region;
    }
  }
}

TEST_F(ThreadPoolTest, MostChunksAndNone) {
  set_thread_count(3);
  std::atomic<int64_t> sum{0};
  parallel_chunks(65535, [&](int chunk) { sum += chunk; });
  EXPECT_EQ(sum, int64_t{65535} * 65534 / 2);
  parallel_chunks(0, [&](int) { FAIL(); });
  EXPECT_THROW(parallel_chunks(65536, [](int) {}), Error);
}

TEST_F(ThreadPoolTest, ChunksDoNotDependOnThreads) {
  std::vector<std::vector<int64_t>> borders;
  for (const int threads : {1, 2, 5}) {
    set_thread_count(threads);
    std::vector<std::atomic<int64_t>> end_of(1000);
    parallel_for(1000, 50,
                 [&](int64_t begin, int64_t end) { end_of[static_cast<size_t>(begin)] = end; });
    borders.emplace_back(end_of.begin(), end_of.end());
  }
  EXPECT_EQ(borders[0], borders[1]);
  EXPECT_EQ(borders[0], borders[2]);
}

TEST_F(ThreadPoolTest, ParallelForCoversTheRangeOnce) {
  for (const int64_t n : {0, 1, 31, 32, 33, 1000}) {
    std::vector<std::atomic<int>> hits(static_cast<size_t>(n));
    parallel_for(n, 1, [&](int64_t begin, int64_t end) {
      ASSERT_LT(begin, end);
      for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
    });
    for (const auto& hit : hits) ASSERT_EQ(hit, 1);
  }
}

TEST_F(ThreadPoolTest, ExceptionsReachTheCaller) {
  for (const int threads : {1, 4}) {
    set_thread_count(threads);
    for (int region = 0; region < 200; ++region) {
      try {
        parallel_chunks(16, [&](int chunk) {
          if (chunk % 5 == 3) throw std::runtime_error("chunk");
        });
        FAIL() << "nothing thrown";
      } catch (const std::runtime_error& error) {
        ASSERT_STREQ(error.what(), "chunk");
      }
    }
    std::atomic<int> ran{0};
    parallel_chunks(16, [&](int) { ++ran; });  // works on
    EXPECT_EQ(ran, 16);
  }
}

TEST_F(ThreadPoolTest, NestedRegionsRunInline) {
  set_thread_count(4);
  std::atomic<int> ran{0};
  parallel_chunks(8, [&](int) {
    const auto self = std::this_thread::get_id();
    parallel_chunks(8, [&](int) {
      if (std::this_thread::get_id() == self) ++ran;
    });
  });
  EXPECT_EQ(ran, 64);
}

// A thread of the user's own (a loader) may run regions while another does.
TEST_F(ThreadPoolTest, RegionsOfTwoThreadsDoNotMix) {
  set_thread_count(3);
  std::atomic<int> wrong{0};
  const auto work = [&] {
    for (int region = 0; region < 3000; ++region) {
      std::vector<std::atomic<int>> hits(12);
      parallel_chunks(12, [&](int chunk) { ++hits[static_cast<size_t>(chunk)]; });
      for (const auto& hit : hits) wrong += hit != 1;
    }
  };
  std::thread other(work);
  work();
  other.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(ThreadPoolTest, ParkedWorkersWake) {
  set_thread_count(4);
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // longer than the spin
    std::atomic<int> ran{0};
    parallel_chunks(16, [&](int) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
      ++ran;
    });
    ASSERT_EQ(ran, 16);
  }
}

TEST_F(ThreadPoolTest, ThreadCountIsChecked) {
  EXPECT_THROW(set_thread_count(-1), Error);
  EXPECT_THROW(set_thread_count(257), Error);
  set_thread_count(0);
  EXPECT_EQ(thread_count(), usable_cpus());
  EXPECT_GE(usable_cpus(), 1);
  for (const int threads : {1, 2}) {
    set_thread_count(threads);
    EXPECT_THROW(parallel_chunks(4, [](int) { set_thread_count(3); }), Error);
  }
}

}  // namespace
}  // namespace enas
