// What the tests of the spaces share: random architectures, and the texts of refusals.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "nas/architecture.h"
#include "tensor/check.h"

namespace enas::test {

template <Space S>
Architecture random_architecture(const S& space, uint64_t seed) {
  return uniform_architectures(space.decisions({}), 1, Random{seed, Stream::test, 0}).front();
}

// The text of the refusal, which must be of kind usage.
template <class F>
std::string refusal(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "not refused";
  return "";
}

template <Space S>
void expect_refused(const S& space, const std::string& text, const std::string& want) {
  const std::string got = refusal([&] { space.parse(text); });
  EXPECT_NE(got.find(want), std::string::npos) << '"' << text << "\": " << got;
}

}  // namespace enas::test
