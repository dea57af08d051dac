// Instruction sets and device dispatch.
#include "tensor/isa.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tensor/dispatch.h"

namespace enas {
namespace {

int generic_kernel(int x) { return x; }
int avx2_kernel(int x) { return x + 100; }
int avx512_kernel(int x) { return x + 200; }

TEST(Isa, TableFollowsTheChoice) {
  constexpr IsaTable<int(int)> kernel{{generic_kernel, avx2_kernel, avx512_kernel}};
  const Isa before = isa();
  for (const Isa path : available_isas()) {
    set_isa(path);
    EXPECT_EQ(isa(), path);
    EXPECT_EQ(kernel(1), 1 + 100 * static_cast<int>(path));
  }
  set_isa(before);
}

TEST(Isa, GenericIsAlwaysThereAndBestIsDefault) {
  const auto paths = available_isas();
  ASSERT_FALSE(paths.empty());
  EXPECT_EQ(paths.front(), Isa::generic);
  if (std::getenv("ENAS_ISA") == nullptr) {
    EXPECT_EQ(isa(), paths.back());
  }
  EXPECT_EQ(name_of(Isa::avx512), "avx512");
}

TEST(Isa, RefusesWhatTheCpuLacks) {
  const auto paths = available_isas();
  for (const Isa path : {Isa::avx2, Isa::avx512}) {
    if (std::find(paths.begin(), paths.end(), path) != paths.end()) continue;
    EXPECT_THROW(set_isa(path), Error);
  }
}

TEST(Isa, OverrideOfTheEnvironmentIsChecked) {
  const char* const before = std::getenv("ENAS_ISA");
  const std::string saved = before ? before : "";
  setenv("ENAS_ISA", "generic", 1);
  EXPECT_NO_THROW(check_isa_environment());
  setenv("ENAS_ISA", "sse9", 1);
  try {
    check_isa_environment();
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find("sse9"), std::string::npos);
  }
  unsetenv("ENAS_ISA");
  EXPECT_NO_THROW(check_isa_environment());
  if (before) setenv("ENAS_ISA", saved.c_str(), 1);
}

double on_cpu(const Tensor& x, double factor) { return x.item() * factor; }
double on_cuda(const Tensor&, double) { return -1; }
int without_tensor(int x) { return x + 1; }

TEST(Dispatch, CallsTheKernelOfTheDevice) {
  const Tensor x = Tensor::full({}, 3);
  EXPECT_EQ((dispatch<on_cpu, on_cuda>(x, 2.0)), 6);
  EXPECT_EQ((dispatch<on_cpu>(x, 2.0)), 6);
  EXPECT_EQ((dispatch<without_tensor>(4)), 5);
}

TEST(Dispatch, NamesTheFunction) {
  EXPECT_NE(detail::function_name<on_cpu>().find("on_cpu"), std::string_view::npos);
  EXPECT_EQ(detail::function_name<on_cpu>().find("]"), std::string_view::npos);
}

TEST(Error, CarriesKindAndText) {
  try {
    fail(ErrorKind::data, "file.txt", "line ", 3, " is not UTF-8");
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 3);
    EXPECT_STREQ(error.what(), "file.txt: line 3 is not UTF-8");
  }
  EXPECT_NO_THROW(check(true, "op", "never"));
  EXPECT_THROW(check(false, ErrorKind::write, "op", "now"), Error);
}

}  // namespace
}  // namespace enas
