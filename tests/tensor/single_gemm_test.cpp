// The product with a matrix that is used once: against sums in double on every instruction set.
#include "tensor/single_gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tensor/isa.h"
#include "tensor/philox.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

std::vector<float> draw(int64_t n, uint64_t step) {
  std::vector<float> values(static_cast<size_t>(n));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(2 * Random{1, Stream::test, step}.uniform53(i) - 1);
  return values;
}

template <class F>
void on_every_isa(const F& f) {
  const Isa before = isa();
  for (const Isa path : available_isas()) {
    SCOPED_TRACE(name_of(path));
    set_isa(path);
    f();
  }
  set_isa(before);
}

enum class Turn { none, a, b };
struct Product {
  int64_t m, k, n;
  Turn turn;
  bool add;
};

void against_double(const Product& p) {
  constexpr int64_t kPad = 3;  // rows are stored that much wider
  const bool turn_a = p.turn == Turn::a, turn_b = p.turn == Turn::b;
  const int64_t lda = (turn_a ? p.m : p.k) + kPad, ldb = (turn_b ? p.k : p.n) + kPad,
                ldc = p.n + kPad;
  const auto a = draw((turn_a ? p.k : p.m) * lda, 1), b = draw((turn_b ? p.n : p.k) * ldb, 2),
             before = draw(p.m * ldc, 3);
  auto c = before;
  for (int64_t i = 0; !p.add && i < p.m; ++i) std::fill_n(c.begin() + i * ldc, p.n, NAN);
  single_gemm(turn_a, turn_b, p.m, p.n, p.k, a.data(), lda, b.data(), ldb, p.add, c.data(), ldc);
  const double bound = (static_cast<double>(p.k) + 8) * 4 * 0x1p-24;
  for (int64_t at = 0; at < p.m * ldc; ++at) {
    const int64_t i = at / ldc, j = at % ldc;
    const float got = c[static_cast<size_t>(at)], old = before[static_cast<size_t>(at)];
    if (j >= p.n) {
      ASSERT_EQ(got, old) << "wrote beside the matrix";
      continue;
    }
    double want = p.add ? static_cast<double>(old) : 0, size = std::fabs(want);
    for (int64_t l = 0; l < p.k; ++l) {
      const double term =
          static_cast<double>(a[static_cast<size_t>(turn_a ? l * lda + i : i * lda + l)]) *
          b[static_cast<size_t>(turn_b ? j * ldb + l : l * ldb + j)];
      want += term, size += std::fabs(term);
    }
    ASSERT_NEAR(got, want, bound * size) << p.m << " x " << p.k << " x " << p.n << ", turn "
                                         << static_cast<int>(p.turn) << ", at " << i << ", " << j;
  }
}

TEST(SingleGemm, EveryRemainder) {
  on_every_isa([] {
    for (const Turn turn : {Turn::none, Turn::a, Turn::b}) {
      for (const bool add : {false, true}) {
        for (int64_t n = 1; n <= 100; n += n < 20 ? 1 : 13) against_double({9, 5, n, turn, add});
        for (int64_t m = 1; m <= 18; ++m) against_double({m, 4, 50, turn, add});
        for (const int64_t k : {0, 1, 2, 15, 16, 17, 512, 513, 1030})
          against_double({10, k, 99, turn, add});
      }
    }
  });
}

TEST(SingleGemm, SameBitsForAnyNumberOfThreads) {
  const int before = thread_count();
  on_every_isa([] {
    for (const Turn turn : {Turn::none, Turn::a, Turn::b}) {
      constexpr int64_t kM = 40, kN = 500, kK = 90;
      const auto a = draw(kM * kK, 1), b = draw(kN * kK, 2);
      const auto product = [&](int threads) {
        set_thread_count(threads);
        std::vector<float> c(kM * kN);
        single_gemm(turn == Turn::a, turn == Turn::b, kM, kN, kK, a.data(),
                    turn == Turn::a ? kM : kK, b.data(), turn == Turn::b ? kK : kN, false, c.data(),
                    kN);
        return c;
      };
      const auto one = product(1);
      for (const int threads : {2, 3, 7}) EXPECT_EQ(product(threads), one);
    }
  });
  set_thread_count(before);
}

TEST(SingleGemm, SuitsFewRows) {
  EXPECT_TRUE(single_gemm_suits(false, false, 64, 2000, 1000));
  EXPECT_TRUE(single_gemm_suits(false, true, 64, 1000, 2000));
  EXPECT_FALSE(single_gemm_suits(false, false, 2240, 10000, 1000));
  EXPECT_FALSE(single_gemm_suits(false, false, 1, 2000, 1000));
  EXPECT_FALSE(single_gemm_suits(false, false, 64, 64, 64));
  EXPECT_FALSE(single_gemm_suits(true, true, 64, 2000, 1000));
  EXPECT_FALSE(single_gemm_suits(true, false, 1000, 2000, 2240));
}

}  // namespace
}  // namespace enas
