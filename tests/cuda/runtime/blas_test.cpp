// gemm() over a cuBLAS of plain loops: row-major against column-major, strides, empty sizes, math
// mode, workspace, and what is said of a library that does not fit.
#include "cuda/blas.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <vector>

#include "cuda/library.h"
#include "cuda/runtime.h"
#include "cuda/stream.h"
#include "tensor/check.h"
#include "tensor/device.h"
#include "tests/cuda/runtime/fake_cudart.h"

namespace enas::cuda {
namespace {

void use_fake(const char* major) {
  setenv("ENAS_CUBLAS", ENAS_FAKE_CUBLAS, 1);
  setenv("FAKE_CUBLAS_MAJOR", major, 1);
}
std::string own_major() { return std::to_string(CUDART_VERSION / 1000); }

template <class T>
T& variable(const char* name) {
  std::string why;
  return *static_cast<T*>(find_function(open_library({ENAS_FAKE_CUBLAS}, why), name));
}

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

// The fake's device memory is the host's, but what gemm() itself queues comes late.
template <class T>
void compare(bool ta, bool tb, int64_t m, int64_t n, int64_t k, T beta, int64_t slack) {
  const int64_t lda = (ta ? m : k) + slack, ldb = (tb ? k : n) + slack, ldc = n + slack;
  std::vector<T> a(static_cast<size_t>((ta ? k : m) * lda)),
      b(static_cast<size_t>((tb ? n : k) * ldb));
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<T>(i % 7) - 3;
  for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<T>(i % 5) - 2;
  std::vector<T> c(static_cast<size_t>(m * ldc), T{9}), want = c;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      T sum = beta * want[static_cast<size_t>(i * ldc + j)];
      for (int64_t l = 0; l < k; ++l)
        sum += a[static_cast<size_t>(ta ? l * lda + i : i * lda + l)] *
               b[static_cast<size_t>(tb ? j * ldb + l : l * ldb + j)];
      want[static_cast<size_t>(i * ldc + j)] = sum;
    }
  }
  gemm<T>("matmul", ta, tb, m, n, k, a.data(), lda, b.data(), ldb, beta, c.data(), ldc);
  ASSERT_EQ(c, want) << ta << tb << ' ' << m << 'x' << n << 'x' << k << " beta " << beta;
}

TEST(CudaBlas, ProductsAreRowMajor) {
  use_fake(own_major().c_str());
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      for (const int beta : {0, 1}) {
        for (const int64_t slack : {0, 3}) {
          compare<float>(ta, tb, 4, 5, 6, static_cast<float>(beta), slack);
          compare<double>(ta, tb, 1, 7, 3, beta, slack);
          compare<double>(ta, tb, 7, 1, 1, beta, slack);
        }
      }
    }
  }
}

TEST(CudaBlas, EmptyProducts) {
  use_fake(own_major().c_str());
  auto* c = static_cast<float*>(allocate(6 * sizeof(float)));
  const std::vector<float> nines(6, 9.0f);
  std::vector<float> got(6);
  upload(c, nines.data(), 24);
  gemm<float>("matmul", false, false, 2, 2, 0, nullptr, 1, nullptr, 2, 1.0f, c, 3);
  gemm<float>("matmul", false, false, 0, 2, 4, nullptr, 4, nullptr, 2, 0.0f, c, 3);
  download(got.data(), c, 24);
  EXPECT_EQ(got, nines);
  gemm<float>("matmul", false, false, 2, 2, 0, nullptr, 1, nullptr, 2, 0.0f, c, 3);
  download(got.data(), c, 24);
  EXPECT_EQ(got, (std::vector<float>{0, 0, 9, 0, 0, 9}));
  release(c, 24);
}

TEST(CudaBlas, WorkspaceAndMathModeAreOurs) {
  use_fake(own_major().c_str());
  compare<float>(false, false, 2, 2, 2, 0, 0);
  EXPECT_NE(variable<void*>("fake_workspace"), nullptr);
  EXPECT_EQ(variable<size_t>("fake_workspace_bytes"), size_t{32} << 20);
  EXPECT_EQ(variable<int>("fake_math_mode"), 0);  // CUBLAS_DEFAULT_MATH
  EXPECT_EQ(blas_name(), "cuBLAS " + own_major() + ".1.2, f32, workspace 32 MiB");
  set_math(Math::tf32);
  compare<float>(false, false, 2, 2, 2, 0, 0);
  EXPECT_EQ(variable<int>("fake_math_mode"), 3);  // CUBLAS_TF32_TENSOR_OP_MATH
  EXPECT_NE(blas_name().find(", tf32, "), std::string::npos);
  set_math(Math::f32);
  compare<float>(false, false, 2, 2, 2, 0, 0);
  EXPECT_EQ(variable<int>("fake_math_mode"), 0);
}

TEST(CudaBlas, ProductsAreCounted) {
  use_fake(own_major().c_str());
  reset_counters();
  compare<double>(false, false, 3, 4, 5, 0, 0);
  EXPECT_EQ(counters().gemms, 1u);
  EXPECT_EQ(counters().launches, 1u);
  EXPECT_EQ(counters().flops, 120u);
  count_only(true);
  gemm<float>("matmul", false, false, 10, 10, 10, nullptr, 10, nullptr, 10, 0, nullptr, 10);
  count_only(false);
  EXPECT_EQ(counters().flops, 2120u);
}

TEST(CudaBlas, ErrorsNameTheOp) {
  use_fake(own_major().c_str());
  float x = 0;
  const auto multiply = [&](int64_t m, int64_t lda) {
    gemm<float>("matmul", false, false, m, 1, 1, &x, lda, &x, 1, 0, &x, 1);
  };
  multiply(1, 1);
  variable<int>("fake_status") = 13;
  EXPECT_EQ(error_of(ErrorKind::device, [&] { multiply(1, 1); }),
            "matmul: cuBLAS answered words of the fake");
  variable<int>("fake_status") = 3;  // CUBLAS_STATUS_ALLOC_FAILED
  EXPECT_NE(error_of(ErrorKind::memory, [&] { multiply(1, 1); }).find("--batch"),
            std::string::npos);
  variable<int>("fake_status") = 0;
  EXPECT_EQ(error_of(ErrorKind::internal, [&] { multiply(int64_t{1} << 31, 1); }),
            "matmul: a matrix product of size or stride 2147483648 is beyond cuBLAS's 32 bits");
  EXPECT_EQ(error_of(ErrorKind::internal, [&] { multiply(2, 0); }),
            "matmul: rows of 1 elements lie 0 apart");
}

TEST(CudaBlas, ALibraryThatDoesNotFitIsRefusedInWords) {
  use_fake("3");
  EXPECT_EQ(
      blas_unavailable(),
      "cuBLAS " + own_major() +
          " is what this build was compiled for; version 3 was found; install the CUDA "
          "toolkit's cuBLAS, or set ENAS_CUBLAS to its file, or LD_LIBRARY_PATH to its folder");
  EXPECT_EQ(blas_name(), "cuBLAS is absent");
  setenv("ENAS_CUBLAS", "libm.so.6", 1);
  EXPECT_NE(blas_unavailable().find(" was opened, but has no cublasGetProperty; "),
            std::string::npos);
  setenv("ENAS_CUBLAS", "/nowhere/libcublas.so", 1);
  EXPECT_NE(blas_unavailable().find(" was not found: looked for /nowhere/libcublas.so: "),
            std::string::npos);
}

}  // namespace
}  // namespace enas::cuda
