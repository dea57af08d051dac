// The caching allocator of device memory over memory of the host.
#include "cuda/allocator.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "tensor/check.h"

namespace enas::cuda {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

// A device of `room` bytes. It lays slabs side by side, so that a range that grew past its slab
// would show.
struct Device {
  explicit Device(size_t bytes)
      : room(bytes), start(static_cast<char*>(std::aligned_alloc(kMiB, bytes))) {}
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device() { std::free(start); }

  void* obtain(size_t bytes) {
    ++asked;
    size_t at = 0;
    for (const auto& [offset, size] : slabs) {
      if (offset - at >= bytes) break;
      at = offset + size;
    }
    if (at + bytes > room) return nullptr;
    slabs.emplace(at, bytes);
    return start + at;
  }
  void give_back(void* slab, size_t bytes) {
    const auto at = slabs.find(static_cast<size_t>(static_cast<char*>(slab) - start));
    ASSERT_TRUE(at != slabs.end()) << "no slab starts there";
    EXPECT_EQ(at->second, bytes);
    slabs.erase(at);
  }
  MemorySource source() {
    return {[this](size_t bytes) { return obtain(bytes); },
            [this](void* slab, size_t bytes) { give_back(slab, bytes); },
            [this] {
              size_t free = room;
              for (const auto& slab : slabs) free -= slab.second;
              return free;
            },
            [](void* at, int byte, size_t count) { std::memset(at, byte, count); },
            [](const void* at, int byte, size_t count) {
              const auto* bytes = static_cast<const unsigned char*>(at);
              size_t i = 0;
              while (i < count && bytes[i] == static_cast<unsigned char>(byte)) ++i;
              return i;
            }};
  }

  size_t room;
  char* start;
  std::map<size_t, size_t> slabs;  // offset and bytes
  int asked = 0;
};

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

TEST(CudaAllocator, ClassesWasteAtMostAQuarter) {
  EXPECT_EQ(Allocator::class_bytes(0), 256u);
  EXPECT_EQ(Allocator::class_bytes(257), 512u);
  EXPECT_EQ(Allocator::class_bytes(1024), 1024u);
  EXPECT_EQ(Allocator::class_bytes(1025), 1280u);
  size_t before = 0;
  for (size_t bytes = 1; bytes < 3 * kMiB; bytes += bytes / 97 + 1) {
    const size_t size = Allocator::class_bytes(bytes);
    ASSERT_GE(size, std::max(bytes, before));
    ASSERT_EQ(size % Allocator::kAlign, 0u);
    ASSERT_EQ(Allocator::class_bytes(size), size);
    ASSERT_LE(size, std::max(bytes + bytes / 4, bytes + Allocator::kAlign)) << bytes;
    before = size;
  }
}

// Blocks of every size at once: aligned, disjoint, all usable.
TEST(CudaAllocator, BlocksAreAlignedAndDisjoint) {
  Device device(512 * kMiB);
  Counters counters;
  Allocator memory(device.source(), counters);
  std::map<char*, size_t> blocks;
  for (int round = 0; round < 3; ++round) {
    for (size_t bytes = 1; bytes < 4 * kMiB; bytes = bytes * 3 / 2 + 1) {
      auto* block = static_cast<char*>(memory.get(bytes));
      ASSERT_EQ(reinterpret_cast<uintptr_t>(block) % Allocator::kAlign, 0u);
      ASSERT_TRUE(blocks.emplace(block, bytes).second);
    }
  }
  const char* end = nullptr;
  for (const auto& [block, bytes] : blocks) {
    ASSERT_GE(block, end);
    end = block + bytes;
  }
  for (const auto& [block, bytes] : blocks) memory.put(block, bytes);
  EXPECT_EQ(counters.live_bytes, 0u);
  EXPECT_GT(counters.peak_bytes, 0u);
  EXPECT_LE(counters.peak_bytes, counters.reserved_bytes);
}

TEST(CudaAllocator, AWarmLoopAsksTheDeviceForNothing) {
  Device device(512 * kMiB);
  Counters counters;
  Allocator memory(device.source(), counters);
  const auto step = [&] {
    std::vector<std::pair<void*, size_t>> blocks;
    for (size_t bytes : {size_t{12}, size_t{5000}, 70 * kMiB, 3 * kMiB, size_t{65536}, 9 * kMiB})
      blocks.emplace_back(memory.get(bytes), bytes);
    for (const auto& [block, bytes] : blocks) memory.put(block, bytes);
  };
  step();
  const uint64_t cold = counters.device_allocations;
  EXPECT_EQ(cold, static_cast<uint64_t>(device.asked));
  for (int i = 0; i < 100; ++i) step();
  EXPECT_EQ(counters.device_allocations, cold);
}

// Blocks that live, to be disjoint and within slabs of the device.
class Blocks {
 public:
  Blocks(Device& device, Allocator& memory) : device_(device), memory_(memory) {}
  void get(size_t bytes) {
    auto* block = static_cast<char*>(memory_.get(bytes));
    const auto at = static_cast<size_t>(block - device_.start);
    auto slab = device_.slabs.upper_bound(at);
    ASSERT_TRUE(slab != device_.slabs.begin()) << "outside all slabs";
    --slab;
    ASSERT_LE(at + bytes, slab->first + slab->second) << "past its slab";
    const auto next = live_.lower_bound(block);
    if (next != live_.end()) {
      ASSERT_LE(block + bytes, next->first);
    }
    if (next != live_.begin()) {
      ASSERT_GE(block, std::prev(next)->first + std::prev(next)->second);
    }
    live_.emplace(block, bytes);
  }
  void put_nth(size_t n) {
    const auto block = std::next(live_.begin(), static_cast<std::ptrdiff_t>(n % live_.size()));
    memory_.put(block->first, block->second);
    live_.erase(block);
  }
  bool empty() const { return live_.empty(); }

 private:
  Device& device_;
  Allocator& memory_;
  std::map<char*, size_t> live_;
};

// Steps of random children, whose blocks die out of order: few slabs, and none in the second half.
TEST(CudaAllocator, RandomStepsSettle) {
  Device device(1024 * kMiB);
  Counters counters;
  Allocator memory(device.source(), counters);
  Blocks blocks(device, memory);
  std::mt19937 random(7);
  uint64_t late = 0;
  for (int step = 0; step < 400; ++step) {
    for (int i = 0; i < 60; ++i) {
      const size_t bytes = size_t{1} << (8 + random() % 15);
      blocks.get(bytes + random() % bytes);
      if (i % 3 == 2) blocks.put_nth(random());
      if (testing::Test::HasFatalFailure()) return;
    }
    while (!blocks.empty()) blocks.put_nth(random());
    if (step == 200) late = counters.device_allocations;
  }
  EXPECT_EQ(counters.device_allocations, late);
  EXPECT_EQ(counters.live_bytes, 0u);
  EXPECT_LE(counters.reserved_bytes, counters.peak_bytes * 5 / 4 + Allocator::kSlab);
}

TEST(CudaAllocator, LargeBlocksFitBestAndCoalesceWithinTheirSlab) {
  Device device(256 * kMiB);
  Counters counters;
  Allocator memory(device.source(), counters);
  char* blocks[96];
  for (char*& block : blocks) block = static_cast<char*>(memory.get(2 * kMiB));  // three slabs
  ASSERT_EQ(counters.device_allocations, 3u);
  const auto put = [&](int from, int to) {
    for (int i = from; i < to; ++i) memory.put(blocks[i], 2 * kMiB);
  };
  put(10, 14);
  put(20, 22);
  EXPECT_EQ(memory.get(4 * kMiB), blocks[20]);  // the smaller gap
  EXPECT_EQ(memory.get(8 * kMiB), blocks[10]);
  ASSERT_EQ(blocks[31] + 2 * kMiB, blocks[32]);  // slabs touch
  ASSERT_EQ(blocks[63] + 2 * kMiB, blocks[64]);
  put(32, 33);
  put(31, 32);
  EXPECT_NE(memory.get(4 * kMiB), blocks[31]) << "a block crosses slabs";
  put(63, 64);
  put(64, 65);
  EXPECT_NE(memory.get(4 * kMiB), blocks[63]) << "a block crosses slabs";
  EXPECT_EQ(counters.device_allocations, 4u);
}

TEST(CudaAllocator, GivesFreeSlabsBackBeforeItRefuses) {
  Device device(200 * kMiB);
  Counters counters;
  Allocator memory(device.source(), counters);
  void* first = memory.get(90 * kMiB);
  void* second = memory.get(90 * kMiB);
  memory.put(second, 90 * kMiB);
  EXPECT_EQ(memory.get(100 * kMiB), second) << "the free slab was not given back";
  memory.put(first, 90 * kMiB);
  EXPECT_EQ(counters.reserved_bytes, 190 * kMiB);
  memory.release_free_slabs();
  EXPECT_EQ(counters.reserved_bytes, 100 * kMiB);
  EXPECT_EQ(device.slabs.size(), 1u);
  void* half = memory.get(30 * kMiB);
  void* other = memory.get(30 * kMiB);
  ASSERT_EQ(device.slabs.size(), 2u);
  memory.put(half < other ? half : other, 30 * kMiB);
  memory.release_free_slabs();
  EXPECT_EQ(device.slabs.size(), 2u) << "a slab that is half in use was given back";
}

TEST(CudaAllocator, OutOfMemoryNamesTheFigures) {
  Device device(100 * kMiB);
  Counters counters;
  Allocator memory(device.source(), counters);
  void* block = memory.get(90 * kMiB);
  const std::string text = error_of(ErrorKind::memory, [&] { memory.get(40 * kMiB); });
  EXPECT_EQ(text,
            "cuda memory: no room for 40 MiB: 90 MiB in use, 0 MiB free in pieces, 10 MiB free on "
            "the device; try a smaller --batch or a smaller network");
  void* last = memory.get(3 * kMiB);  // though a slab of the usual size does not fit
  EXPECT_EQ(counters.reserved_bytes, 94 * kMiB);
  memory.put(last, 3 * kMiB);
  memory.put(block, 90 * kMiB);
  EXPECT_NE(memory.get(95 * kMiB), nullptr);  // works on
}

TEST(CudaAllocator, PoisonFillsEachBlock) {
  Device device(100 * kMiB);
  Counters counters;
  Allocator memory(device.source(), counters);
  memory.set_poison(true);
  for (int round = 0; round < 2; ++round) {
    for (const size_t bytes : {size_t{1}, size_t{1000}, 3 * kMiB}) {
      auto* block = static_cast<unsigned char*>(memory.get(bytes));
      for (size_t i = 0; i < bytes; ++i) ASSERT_EQ(block[i], 0xff) << i;
      std::memset(block, 0, bytes);
      memory.put(block, bytes);
    }
  }
}

TEST(CudaAllocator, GuardsShowWhoWroteBesideABlock) {
  Device device(100 * kMiB);
  Counters counters;
  counters.live_bytes = 1 << 20;  // another allocator's, which counts there too
  Allocator memory(device.source(), counters);
  memory.set_guard(true);
  for (const size_t bytes : {size_t{100}, size_t{256}, 3 * kMiB}) {
    auto* block = static_cast<char*>(memory.get(bytes));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % Allocator::kAlign, 0u);
    std::memset(block, 0, bytes);
    memory.check_guards("test");
    const std::string size = std::to_string(bytes);
    block[bytes] = 1;  // seen while it lives
    EXPECT_EQ(error_of(ErrorKind::internal, [&] { memory.check_guards("softmax"); }),
              "softmax: a block of " + size + " bytes was overrun: byte 0 behind it was written");
    block[bytes] = static_cast<char>(Allocator::kGuardByte);
    block[-3] = 1;  // and when it is freed
    memory.put(block, bytes);
    EXPECT_EQ(error_of(ErrorKind::internal, [&] { memory.check_guards("softmax"); }),
              "softmax: a block of " + size + " bytes was overrun: byte 3 before it was written");
    memory.check_guards("test");  // told once
  }
  void* block = memory.get(64);
  memory.put(block, 64);
  memory.put(block, 64);
  EXPECT_EQ(error_of(ErrorKind::internal, [&] { memory.check_guards("test"); }),
            "test: a block was freed twice, or never handed out");
  EXPECT_EQ(counters.live_bytes, 1u << 20);
  block = memory.get(64);
  EXPECT_EQ(error_of(ErrorKind::internal, [&] { memory.set_guard(false); }),
            "cuda memory: guards were switched while blocks are live");
  memory.put(block, 64);
}

TEST(CudaAllocator, GivesEverythingBackAtItsEnd) {
  Device device(300 * kMiB);
  Counters counters;
  {
    Allocator memory(device.source(), counters);
    memory.get(10);
    memory.get(100 * kMiB);
    EXPECT_EQ(device.slabs.size(), 2u);
  }
  EXPECT_TRUE(device.slabs.empty());
}

}  // namespace
}  // namespace enas::cuda
