// Memory of the convolutional searches, by the rule of tests/nas/memory_test.cpp: a fixed
// architecture takes nothing new from the system after its second step; random ones, once the
// extremes have run, at most two slabs and then none; in all at most 1.25 times what is alive at
// the peak. A weight's momentum is made when it is first used: slabs that hold nothing but such
// growth of what lives between steps are counted apart.
#include <cmath>
#include <cstdlib>
#include <iostream>

#include "nas/macro/child.h"
#include "nas/micro/child.h"
#include "tests/nas/image_networks.h"

namespace enas::test {
namespace {

constexpr int32_t kClasses = 3;

// Most values are of 1 MiB or more, as in use, so that rounding up does not decide the ratio.
struct Small {
  static constexpr int64_t kSize = 16, kBatch = 64;
  static constexpr size_t kSteps = 40;
};
// The networks of a search in their own size.
struct Whole {
  static constexpr int64_t kSize = 32, kBatch = 8;
  static constexpr size_t kSteps = 12;
};

struct Macro : Small {
  using Net = MacroChild;
  static MacroSpace space() { return MacroSpace(3); }
  static MacroChildOptions options() {
    MacroChildOptions options;
    options.filters = 20, options.classes = kClasses;
    return options;
  }
  // Every skip, and none.
  static std::vector<std::string> extremes() {
    return {"3 3 1 3 1 1", "2 2 1 2 1 1", "5 5 1 5 1 1", "4 4 0 4 0 0"};
  }
};
struct WholeMacro : Whole {
  using Net = MacroChild;
  static MacroSpace space() { return MacroSpace(12); }
  static MacroChildOptions options() {
    MacroChildOptions options;
    options.classes = kClasses;
    return options;
  }
  static std::vector<std::string> extremes() {
    std::vector<std::string> list;
    for (const auto& [op, skip] :
         {std::pair{"3 ", "1 "}, {"2 ", "1 "}, {"5 ", "1 "}, {"4 ", "0 "}}) {
      std::string& text = list.emplace_back();
      for (int layer = 0; layer < 12; ++layer) {
        text += op;
        for (int k = 0; k < layer; ++k) text += skip;
      }
    }
    return list;
  }
};
struct Micro : Small {
  using Net = MicroChild;
  static MicroSpace space() { return MicroSpace(3); }
  static MicroChildOptions options() {
    MicroChildOptions options;
    options.normal_cells = 3, options.filters = 20, options.classes = kClasses;
    return options;
  }
  // All separable, all pools, side by side and in a chain.
  static std::vector<std::string> extremes() {
    return {"0 1 1 1 0 1 1 1 0 1 1 1 0 1 1 1 0 1 1 1 0 1 1 1",
            "0 1 1 1 2 1 2 1 3 1 3 1 0 1 1 1 2 1 2 1 3 1 3 1",
            "0 3 1 3 0 3 1 3 0 3 1 3 0 3 1 3 0 3 1 3 0 3 1 3",
            "0 4 0 4 2 4 2 4 3 4 3 4 0 4 0 4 2 4 2 4 3 4 3 4"};
  }
};

struct WholeMicro : Whole {
  using Net = MicroChild;
  static MicroSpace space() { return MicroSpace(5); }
  static MicroChildOptions options() {
    MicroChildOptions options;
    options.classes = kClasses;
    return options;
  }
  static std::vector<std::string> extremes() {
    std::vector<std::string> list(4);
    for (int node = 0; node < 10; ++node) {
      const int last = node % 5 == 0 ? 0 : node % 5 + 1;
      const std::string input = std::to_string(last) + " ";
      list[0] += "0 1 1 1 ", list[1] += input + "1 " + input + "1 ";
      list[2] += "0 3 1 3 ", list[3] += input + "4 " + input + "4 ";
    }
    return list;
  }
};

template <class Of>
class Search {
 public:
  Search()
      : net_(Of::space(), Of::options(), 1),
        task_(net_, {.reward_batch = Of::kBatch, .moments = {{}, {1, 1, 1}}},
              random_image_set(2 * Of::kBatch, Of::kSize, kClasses)),
        batch_{random_images(Of::kBatch, Of::kSize, Of::kSize, DType::f32),
               Tensor::zeros({Of::kBatch}, DType::i32)} {}
  void step(const Architecture& arch) {
    shared_step(tape_, task_, {&arch, 1}, batch_, step_++, sgd_, 0.01);
  }
  void reward(const Architecture& arch) { task_.rewards({&arch, 1}, step_); }

 private:
  typename Of::Net net_;
  ImageTask<typename Of::Net> task_;
  const ImageBatch batch_;
  Sgd sgd_{{.momentum = 0.9, .nesterov = true, .decay = 1e-4}};
  Tape tape_;
  uint64_t step_ = 0;
};

size_t slabs() { return memory_pool().stats().slabs; }

// Says a figure that a failed test shows; whether it is within its bound.
bool within(const char* what, double found, double bound) {
  std::cerr << what << ": " << found << ", bound " << bound << "\n";
  return found <= bound;
}

template <class Of>
bool fixed_architecture() {
  Search<Of> search;
  const Architecture arch = some_architectures(Of::space(), 1)[0];
  for (int k = 0; k < 2; ++k) search.step(arch);
  const size_t before = slabs();
  for (int k = 0; k < 30; ++k) search.step(arch);
  return within("new slabs after step 2", static_cast<double>(slabs() - before), 0);
}

// Slabs since `before` beyond those that what lives between steps has grown by.
double new_slabs(const MemoryPool::Stats& before) {
  const MemoryPool::Stats now = memory_pool().stats();
  const double grown =
      std::ceil((static_cast<double>(now.live_bytes) - static_cast<double>(before.live_bytes)) /
                static_cast<double>(MemoryPool::kSlab));
  return static_cast<double>(now.slabs - before.slabs) - std::max(grown, 0.0);
}

template <class Of>
bool random_architectures() {
  Search<Of> search;
  for (const std::string& text : Of::extremes()) search.step(Of::space().parse(text));
  search.reward(Of::space().parse(Of::extremes()[0]));
  const auto archs = some_architectures(Of::space(), 2 * Of::kSteps);
  const auto some = [&](size_t first) {
    const MemoryPool::Stats before = memory_pool().stats();
    for (size_t k = first; k < first + Of::kSteps; ++k) {
      search.step(archs[k]);
      if (k % 10 == 9) search.reward(archs[k]);
    }
    return new_slabs(before);
  };
  const double early = some(0), late = some(Of::kSteps);
  const MemoryPool::Stats stats = memory_pool().stats();
  bool good = within("new slabs in the first steps", early, 2);
  good &= within("new slabs in as many more", late, 0);
  good &=
      within("bytes of all slabs by those alive at the peak",
             static_cast<double>(stats.slab_bytes) / static_cast<double>(stats.peak_bytes), 1.25);
  std::cerr << stats.slabs << " slabs of " << stats.slab_bytes << " bytes, peak "
            << stats.peak_bytes << "\n";
  return good;
}

// Each runs in a process of its own, whose pool no other test has filled.
class ImageMemoryDeathTest : public testing::Test {
 protected:
  ImageMemoryDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(ImageMemoryDeathTest, FixedMacroArchitectureTakesNoSlabAfterItsSecondStep) {
  EXPECT_EXIT(std::exit(fixed_architecture<Macro>() ? 0 : 1), testing::ExitedWithCode(0), "bound");
}
TEST_F(ImageMemoryDeathTest, FixedMicroArchitectureTakesNoSlabAfterItsSecondStep) {
  EXPECT_EXIT(std::exit(fixed_architecture<Micro>() ? 0 : 1), testing::ExitedWithCode(0), "bound");
}
TEST_F(ImageMemoryDeathTest, RandomMacroArchitecturesTakeFewSlabsThenNone) {
  EXPECT_EXIT(std::exit(random_architectures<Macro>() ? 0 : 1), testing::ExitedWithCode(0),
              "bound 1.25");
}
TEST_F(ImageMemoryDeathTest, RandomMicroArchitecturesTakeFewSlabsThenNone) {
  EXPECT_EXIT(std::exit(random_architectures<Micro>() ? 0 : 1), testing::ExitedWithCode(0),
              "bound 1.25");
}
TEST_F(ImageMemoryDeathTest, AWholeMacroSearchTakesFewSlabsThenNone) {
  EXPECT_EXIT(std::exit(random_architectures<WholeMacro>() ? 0 : 1), testing::ExitedWithCode(0),
              "bound 1.25");
}
TEST_F(ImageMemoryDeathTest, AWholeMicroSearchTakesFewSlabsThenNone) {
  EXPECT_EXIT(std::exit(random_architectures<WholeMicro>() ? 0 : 1), testing::ExitedWithCode(0),
              "bound 1.25");
}

}  // namespace
}  // namespace enas::test
