// The count-only mode: addresses without memory, launches and products that do not run.
#include <gtest/gtest.h>

#include "cuda/allocator.h"
#include "cuda/runtime.h"
#include "tensor/check.h"

namespace enas::cuda {
namespace {

TEST(CudaCounters, LaunchesAreCountedByName) {
  reset_counters();
  const char elsewhere[] = "softmax";  // the same name at another address
  EXPECT_TRUE(begin_launch("softmax"));
  EXPECT_TRUE(begin_launch("matmul"));
  EXPECT_TRUE(begin_launch(elsewhere));
  EXPECT_EQ(counters().launches, 3u);
  EXPECT_EQ(launches_by_op(), (std::map<std::string, uint64_t>{{"matmul", 1}, {"softmax", 2}}));
  count_only(true);
  EXPECT_TRUE(counting());
  EXPECT_FALSE(begin_launch("matmul"));
  count_only(false);
  EXPECT_EQ(launches_by_op()["matmul"], 2u);
  reset_counters();
  EXPECT_EQ(counters().launches, 0u);
  EXPECT_TRUE(launches_by_op().empty());
}

TEST(CudaCounters, CountedMemoryIsAddressesAlone) {
  reset_counters();
  const uint64_t live = counters().live_bytes;
  Allocator& memory = counting_memory();
  void* large = memory.get(size_t{100} << 30);  // more than any machine of ours holds
  void* small = memory.get(8);
  EXPECT_NE(large, small);
  EXPECT_EQ(counters().live_bytes, live + (size_t{100} << 30) + 256);
  EXPECT_DEATH(*static_cast<volatile char*>(small) = 1, "");
  memory.put(large, size_t{100} << 30);
  memory.put(small, 8);
  EXPECT_EQ(counters().live_bytes, live);
  EXPECT_EQ(counters().peak_bytes, live + (size_t{100} << 30) + 256);
  memory.release_free_slabs();
}

TEST(CudaCounters, FaultsNameOpIndexPositionAndRows) {
  const Fault fault{1, FaultOp::embedding, 12, 3, 10};
  EXPECT_EQ(fault_text(fault), "embedding: index 12 at position 3 is outside 10 rows");
  EXPECT_EQ(fault_kind(fault), ErrorKind::data);
  const Fault row{1, FaultOp::sample_categorical, 0, 3, 0};
  EXPECT_EQ(fault_text(row),
            "sample_categorical: logits of row 3 are not finite; try a smaller learning rate");
  EXPECT_EQ(fault_kind(row), ErrorKind::diverged);
}

}  // namespace
}  // namespace enas::cuda
