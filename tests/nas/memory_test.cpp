// Memory of a search (docs/architecture.md): a fixed architecture takes nothing new from the system
// after its second step; random ones, once the extremes have run, at most two slabs in 200 steps
// and none in the next 200; in all at most 1.25 times what is alive at the peak.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "tests/nas/small_task.h"

namespace enas::test {
namespace {

// A little child with a batch as in use: the peak is some ten slabs of 2 MiB, so that rounding up
// to slabs does not decide the ratio.
class Search {
 public:
  static constexpr int kNodes = 6;
  static constexpr int64_t kBptt = 20, kLongest = kBptt + 20;

  Search()
      : train_(random_tokens(64 * kLongest, 500)),
        valid_(random_tokens(64 * kBptt, 500, 1)),
        child_(RnnSpace(kNodes), options(), 1),
        task_(child_, {.batch = 64, .reward_batch = 64, .bptt = kBptt}, train_, valid_, 0),
        random_(random_architectures(child_.space(), 400)) {}

  // Every node reads the one before: one loose end, no mean. Or all read node 0: most loose ends.
  static Architecture chain() {
    return shaped([](int node) { return node - 1; });
  }
  static Architecture star() {
    return shaped([](int) { return 0; });
  }
  const Architecture& random(size_t k) const { return random_[k]; }
  // Of the variable plan, whose windows vary from step to step.
  int64_t length(int64_t step) const {
    return WindowPlan(WindowPlan::Kind::variable, kLongest, kBptt, 1).length(0, step, 0);
  }
  void step(const Architecture& arch, int64_t length) {
    const auto window = task_.train_streams().window(0, length);
    const StepReport report = shared_step(tape_, task_, {&arch, 1}, window, step_++, sgd_, 1);
    check(report.finite(), "memory test", "step ", step_, " is not finite");
  }
  void reward(const Architecture& arch) { task_.rewards({&arch, 1}, step_); }

 private:
  static RnnChildOptions options() {
    RnnChildOptions options = full_options();
    options.vocabulary = 500;
    options.hidden = 32;
    options.init_range = 0.04;
    options.l4_decay = 0;
    return options;
  }
  template <class Previous>
  static Architecture shaped(const Previous& previous) {
    Architecture arch;
    for (int node = 1; node <= kNodes; ++node) {
      arch.choices.push_back(previous(node));
      arch.choices.push_back(static_cast<int32_t>(Activation::sigmoid));
    }
    return arch;
  }

  std::vector<int32_t> train_, valid_;
  RnnChild child_;
  RnnTask task_;
  std::vector<Architecture> random_;
  Sgd sgd_{{.momentum = 0.9, .clip = 0.25, .decay = 1e-6}};
  Tape tape_;
  uint64_t step_ = 0;
};

size_t slabs() { return memory_pool().stats().slabs; }

// Says a figure that a failed test shows; whether it is within its bound.
bool within(const char* what, double found, double bound) {
  std::cerr << what << ": " << found << ", bound " << bound << "\n";
  return found <= bound;
}

bool fixed_architecture() {
  Search search;
  const Architecture arch = search.random(0);
  for (int k = 0; k < 2; ++k) search.step(arch, Search::kBptt);
  const size_t before = slabs();
  for (int k = 0; k < 100; ++k) search.step(arch, Search::kBptt);
  return within("new slabs after step 2", static_cast<double>(slabs() - before), 0);
}

bool random_architectures_and_windows() {
  Search search;
  search.step(search.chain(), Search::kLongest);
  search.step(search.star(), Search::kLongest);
  search.step(search.chain(), 1);
  search.reward(search.star());
  size_t before = slabs();
  const auto two_hundred = [&](size_t first) {
    for (size_t k = first; k < first + 200; ++k) {
      search.step(search.random(k), search.length(static_cast<int64_t>(k)));
      if (k % 10 == 9) search.reward(search.random(k));
    }
    return static_cast<double>(slabs() - std::exchange(before, slabs()));
  };
  const double early = two_hundred(0), late = two_hundred(200);
  const MemoryPool::Stats stats = memory_pool().stats();
  bool good = within("new slabs in 200 steps", early, 2);
  good &= within("new slabs in the next 200", late, 0);
  good &=
      within("bytes of all slabs by those alive at the peak",
             static_cast<double>(stats.slab_bytes) / static_cast<double>(stats.peak_bytes), 1.25);
  std::cerr << stats.slabs << " slabs of " << stats.slab_bytes << " bytes, peak "
            << stats.peak_bytes << "\n";
  return good;
}

// Each runs in a process of its own, whose pool no other test has filled.
class MemoryDeathTest : public testing::Test {
 protected:
  MemoryDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(MemoryDeathTest, FixedArchitectureTakesNoSlabAfterItsSecondStep) {
  EXPECT_EXIT(std::exit(fixed_architecture() ? 0 : 1), testing::ExitedWithCode(0), "bound 0");
}

TEST_F(MemoryDeathTest, RandomArchitecturesTakeFewSlabsThenNone) {
  EXPECT_EXIT(std::exit(random_architectures_and_windows() ? 0 : 1), testing::ExitedWithCode(0),
              "bound 1.25");
}

}  // namespace
}  // namespace enas::test
