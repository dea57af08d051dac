// Libraries that are opened at run time, and where cuBLAS is looked for.
#include "cuda/library.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace enas::cuda {
namespace {

// Sets an environment variable for its lifetime.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { unsetenv(name_); }

 private:
  const char* name_;
};

TEST(CudaBlas, AbsentSaysWhatWasLookedForAndWhatTheSystemAnswered) {
  std::string why;
  EXPECT_EQ(open_library({"libnone.so.13", "/nowhere/libnone.so.13"}, why), nullptr);
  EXPECT_EQ(why.find("looked for libnone.so.13, /nowhere/libnone.so.13: libnone.so.13: "), 0u)
      << why;
}

// A file that is there but does not open is the answer that helps.
TEST(CudaBlas, DamagedIsToldBeforeAbsent) {
  std::string why;
  const std::string text = std::string(ENAS_SOURCE_DIR) + "/LICENSE";
  EXPECT_EQ(open_library({"libnone.so.13", text, "libnone.so.12"}, why), nullptr);
  EXPECT_NE(why.find(": " + text + ": "), std::string::npos) << why;
}

TEST(CudaBlas, FunctionsAreFoundOrNull) {
  std::string why;
  void* library = open_library({"libnone.so.13", "libm.so.6"}, why);
  ASSERT_NE(library, nullptr) << why;
  EXPECT_NE(find_function(library, "cos"), nullptr);
  EXPECT_EQ(find_function(library, "cublasCreate_v2"), nullptr);
}

TEST(CudaBlas, FilesOfTheMajorVersionInOrder) {
  unsetenv("CUDA_PATH");
  const Variable home("CUDA_HOME", "/opt/cuda");
  const std::vector<std::string> files = blas_files(12);
  ASSERT_GE(files.size(), 3u);
  EXPECT_EQ(files[0], "libcublas.so.12");
  EXPECT_EQ(files[1], "/opt/cuda/lib64/libcublas.so.12");
  EXPECT_EQ(files[2], "/opt/cuda/lib/libcublas.so.12");
  EXPECT_EQ(files.back(), "/usr/local/cuda-12/targets/x86_64-linux/lib/libcublas.so.12");
  const Variable wish("ENAS_CUBLAS", "/my/libcublas.so");
  EXPECT_EQ(blas_files(12), std::vector<std::string>{"/my/libcublas.so"});
}

}  // namespace
}  // namespace enas::cuda
