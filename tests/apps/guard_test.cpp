// Exit codes of the outermost frame.
#include "apps/run/guard.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

#include "tensor/check.h"

namespace enas {
namespace {

TEST(Guard, EachKindIsItsExitCode) {
  EXPECT_EQ(run_guarded("enas_test", [] { return 0; }), 0);
  EXPECT_EQ(run_guarded("enas_test", [] { return 130; }), 130);
  for (int kind = 2; kind <= 9; ++kind) {
    testing::internal::CaptureStderr();
    const int code = run_guarded("enas_test", [&]() -> int {
      fail(static_cast<ErrorKind>(kind), "the op", "found 1, expected 2");
    });
    const std::string text = testing::internal::GetCapturedStderr();
    EXPECT_EQ(code, kind);
    EXPECT_NE(text.find("the op: found 1, expected 2"), std::string::npos) << text;
    EXPECT_EQ(text.find("please report") != std::string::npos, kind == 9) << text;
  }
}

TEST(Guard, OtherExceptions) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(run_guarded("enas_test", []() -> int { throw std::bad_alloc(); }), 5);
  EXPECT_EQ(run_guarded("enas_test", []() -> int { throw std::runtime_error("x"); }), 9);
  EXPECT_EQ(run_guarded("enas_test", []() -> int { throw 3; }), 9);
  testing::internal::GetCapturedStderr();
}

}  // namespace
}  // namespace enas
