#include "tensor/blas.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "tensor/philox.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

template <class T>
std::vector<T> draw(int64_t n, uint64_t step) {
  std::vector<T> values(static_cast<size_t>(n));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<T>(2 * Random{1, Stream::test, step}.uniform53(i) - 1);
  return values;
}

struct Product {
  bool ta, tb;
  int64_t m, n, k, pad;  // pad: rows are stored that much wider
};

template <class T>
void against_naive(const Product& p, T beta) {
  const int64_t lda = (p.ta ? p.m : p.k) + p.pad, ldb = (p.tb ? p.k : p.n) + p.pad,
                ldc = p.n + p.pad;
  const auto a = draw<T>((p.ta ? p.k : p.m) * lda, 1), b = draw<T>((p.tb ? p.n : p.k) * ldb, 2);
  const auto before = draw<T>(p.m * ldc, 3);
  auto c = before;
  if (beta == 0) {  // may be uninitialised: NaN must not leak through 0 * NaN
    for (int64_t i = 0; i < p.m; ++i) std::fill_n(c.begin() + i * ldc, p.n, static_cast<T>(NAN));
  }
  gemm(p.ta, p.tb, p.m, p.n, p.k, a.data(), lda, b.data(), ldb, beta, c.data(), ldc);
  const double bound = (static_cast<double>(p.k) + 8) * 4 * (sizeof(T) == 4 ? 0x1p-24 : 0x1p-53);
  for (int64_t i = 0; i < p.m; ++i) {
    for (int64_t j = 0; j < ldc; ++j) {
      const auto at = static_cast<size_t>(i * ldc + j);
      if (j >= p.n) {
        ASSERT_EQ(c[at], before[at]) << "wrote beside the matrix";
        continue;
      }
      double want = beta == 0 ? 0 : static_cast<double>(before[at]);
      for (int64_t l = 0; l < p.k; ++l) {
        want += static_cast<double>(a[static_cast<size_t>(p.ta ? l * lda + i : i * lda + l)]) *
                static_cast<double>(b[static_cast<size_t>(p.tb ? j * ldb + l : l * ldb + j)]);
      }
      ASSERT_NEAR(static_cast<double>(c[at]), want, bound)
          << p.m << "x" << p.n << "x" << p.k << " " << p.ta << p.tb << " at " << i << "," << j;
    }
  }
}

TEST(Gemm, EqualsNaiveLoops) {
  const std::vector<std::vector<int64_t>> sizes = {
      {1, 1, 1},  {1, 7, 5},   {7, 1, 5},    {3, 4, 0},     {0, 4, 3},      {4, 0, 3},
      {5, 6, 17}, {33, 65, 9}, {64, 64, 64}, {130, 70, 33}, {20, 400, 200}, {257, 129, 40}};
  for (const auto& size : sizes) {
    for (const int transposes : {0, 1, 2, 3}) {
      const Product p{(transposes & 1) != 0,  (transposes & 2) != 0, size[0], size[1], size[2],
                      transposes == 3 ? 5 : 0};
      against_naive<float>(p, 0);
      against_naive<float>(p, 1);
      against_naive<double>(p, 0);
      against_naive<double>(p, 1);
    }
  }
}

TEST(Gemm, SameBitsForAnyNumberOfThreads) {
  constexpr int64_t kM = 140, kN = 1000, kK = 200;
  const auto a = draw<float>(kM * kK, 1), b = draw<float>(kK * kN, 2);
  std::vector<float> want(kM * kN), got(kM * kN);
  set_thread_count(1);
  gemm(false, false, kM, kN, kK, a.data(), kK, b.data(), kN, 0.0f, want.data(), kN);
  for (const int threads : {2, 3, 4, 8}) {
    set_thread_count(threads);
    for (int repeat = 0; repeat < 3; ++repeat) {
      gemm(false, false, kM, kN, kK, a.data(), kK, b.data(), kN, 0.0f, got.data(), kN);
      ASSERT_EQ(std::memcmp(want.data(), got.data(), want.size() * sizeof(float)), 0) << threads;
    }
  }
  set_thread_count(0);
}

TEST(Gemm, NamesItsLibrary) { EXPECT_NE(blas_name().find("OpenBLAS"), std::string::npos); }

}  // namespace
}  // namespace enas
