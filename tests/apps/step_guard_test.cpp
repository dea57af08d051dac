#include "apps/run/step_guard.h"

#include <gtest/gtest.h>

#include <vector>

namespace enas {
namespace {

// As a loop uses it: each step is read once the next has been issued, the last at the end.
TEST(OneLate, ReadsAStepAfterTheNextHasBeenIssued) {
  OneLate<std::unique_ptr<int>> last;  // a step may be one that only moves
  std::vector<std::string> order;
  const auto read = [&](const std::unique_ptr<int>& step) {
    order.push_back("read " + std::to_string(*step));
  };
  for (int k = 1; k <= 3; ++k) {
    order.push_back("issue " + std::to_string(k));
    EXPECT_EQ(last.held() == nullptr, k == 1);
    last.settle(read);
    last.hold(std::make_unique<int>(k));
    EXPECT_EQ(**last.held(), k);
  }
  last.settle(read);
  last.settle(read);
  EXPECT_EQ(order, (std::vector<std::string>{"issue 1", "issue 2", "read 1", "issue 3", "read 2",
                                             "read 3"}));
}

TEST(OneLate, HoldsNothingWhereReadingThrows) {
  OneLate<int> last;
  last.hold(1);
  EXPECT_THROW(last.settle([](int) { fail(ErrorKind::diverged, "test", "bad step"); }), Error);
  EXPECT_EQ(last.held(), nullptr);
}

}  // namespace
}  // namespace enas
