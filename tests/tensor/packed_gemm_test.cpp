// The product with a packed matrix: against sums in double on every instruction set.
#include "tensor/packed_gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tensor/check.h"
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

// Runs f once for every instruction set that this CPU has.
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

struct Product {
  int64_t m, k, n;
  bool transpose, add;
  int64_t pad;  // rows are stored that much wider
};

void against_double(const Product& p) {
  const int64_t lda = p.k + p.pad, ldb = (p.transpose ? p.k : p.n) + p.pad, ldc = p.n + p.pad;
  const auto a = draw(p.m * lda, 1), b = draw((p.transpose ? p.n : p.k) * ldb, 2),
             before = draw(p.m * ldc, 3);
  auto c = before;
  for (int64_t i = 0; !p.add && i < p.m; ++i) std::fill_n(c.begin() + i * ldc, p.n, NAN);
  const PackedMatrix packed(p.transpose, p.k, p.n, b.data(), ldb);
  packed_gemm(p.m, a.data(), lda, packed, p.add, c.data(), ldc);
  const double bound = (static_cast<double>(p.k) + 8) * 4 * 0x1p-24;
  for (int64_t i = 0; i < p.m; ++i) {
    for (int64_t j = 0; j < ldc; ++j) {
      const auto at = static_cast<size_t>(i * ldc + j);
      if (j >= p.n) {
        ASSERT_EQ(c[at], before[at]) << "wrote beside the matrix";
        continue;
      }
      double want = p.add ? static_cast<double>(before[at]) : 0, size = std::fabs(want);
      for (int64_t l = 0; l < p.k; ++l) {
        const double term =
            static_cast<double>(a[static_cast<size_t>(i * lda + l)]) *
            static_cast<double>(b[static_cast<size_t>(p.transpose ? j * ldb + l : l * ldb + j)]);
        want += term;
        size += std::fabs(term);
      }
      ASSERT_NEAR(static_cast<double>(c[at]), want, bound * size)
          << p.m << "x" << p.k << "x" << p.n << (p.transpose ? " transposed" : "") << " at " << i
          << "," << j;
    }
  }
}

// All heights of a tile, widths around vectors and panels, and depths around a block.
TEST(PackedGemm, EqualsSumsInDouble) {
  on_every_isa([] {
    for (const bool transpose : {false, true}) {
      for (const bool add : {false, true}) {
        for (int64_t m = 1; m <= 17; ++m) against_double({m, 5, 50, transpose, add, 3});
        for (const int64_t n : {1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 95, 97, 200})
          against_double({9, 6, n, transpose, add, n % 2});
        for (const int64_t k : {0, 1, 2, 127, 128, 129, 255, 257, 300})
          against_double({10, k, 50, transpose, add, 1});
        against_double({64, 100, 200, transpose, add, 0});
        against_double({65, 33, 70, transpose, add, 2});
        against_double({131, 40, 20, transpose, add, 0});
      }
    }
  });
}

TEST(PackedGemm, EmptyMatricesAreLeftAlone) {
  const float a[4] = {1, 2, 3, 4};
  float c[2] = {5, 6};
  packed_gemm(0, a, 2, PackedMatrix(false, 2, 2, a, 2), false, c, 2);
  packed_gemm(2, a, 2, PackedMatrix(false, 2, 0, a, 0), false, c, 0);
  EXPECT_EQ(c[0], 5);
  EXPECT_EQ(c[1], 6);
}

TEST(PackedGemm, SameBitsForAnyNumberOfThreads) {
  on_every_isa([] {
    for (const Product& s :
         {Product{64, 1000, 2000, false, false, 0}, {130, 150, 301, false, false, 0}}) {
      const auto a = draw(s.m * s.k, 1), b = draw(s.k * s.n, 2);
      std::vector<float> want(static_cast<size_t>(s.m * s.n)), got(want.size());
      const auto product = [&](std::vector<float>& c) {
        const PackedMatrix packed(false, s.k, s.n, b.data(), s.n);
        packed_gemm(s.m, a.data(), s.k, packed, false, c.data(), s.n);
      };
      set_thread_count(1);
      product(want);
      for (const int threads : {2, 3, 4}) {
        set_thread_count(threads);
        product(got);
        ASSERT_EQ(std::memcmp(want.data(), got.data(), want.size() * sizeof(float)), 0) << threads;
      }
    }
    set_thread_count(0);
  });
}

// A row's result is a function of that row and B: its place among the rows does not matter.
TEST(PackedGemm, RowsDoNotDependOnTheirNumber) {
  on_every_isa([] {
    constexpr int64_t kM = 70, kK = 140, kN = 50;
    const auto a = draw(kM * kK, 1), b = draw(kK * kN, 2);
    const PackedMatrix packed(false, kK, kN, b.data(), kN);
    std::vector<float> all(kM * kN), one(kN);
    packed_gemm(kM, a.data(), kK, packed, false, all.data(), kN);
    for (int64_t i = 0; i < kM; ++i) {
      packed_gemm(1, a.data() + i * kK, kK, packed, false, one.data(), kN);
      ASSERT_EQ(std::memcmp(one.data(), all.data() + i * kN, sizeof(float) * kN), 0) << i;
    }
  });
}

// Put together again, tiles are the product's bits, each element once, however the matrix is packed
// and the columns are cut.
TEST(PackedGemm, TilesAreTheProduct) {
  on_every_isa([] {
    for (const Product& s : {Product{1, 5, 4, false, false, 0},
                             {9, 6, 52, false, false, 0},
                             {70, 300, 200, false, false, 0},
                             {300, 20, 404, true, false, 0}}) {
      const auto a = draw(s.m * s.k, 1), b = draw(s.k * s.n, 2);
      const int64_t ldb = s.transpose ? s.k : s.n;
      std::vector<float> want(static_cast<size_t>(s.m * s.n));
      packed_gemm(s.m, a.data(), s.k, PackedMatrix(s.transpose, s.k, s.n, b.data(), ldb), false,
                  want.data(), s.n);
      for (const int parts : {1, 2, 4}) {
        const PackedMatrix packed(s.transpose, s.k, s.n, b.data(), ldb, parts);
        for (const int64_t ranges : {0, 1, 3, 100}) {
          std::vector<float> got(want.size(), NAN);
          packed_gemm_tiles(s.m, a.data(), s.k, packed, ranges, [&](const ProductTile& t) {
            for (int64_t r = 0; r < t.rows; ++r) {
              for (int64_t part = 0; part < parts; ++part) {
                for (int64_t j = 0; j < t.columns; ++j) {
                  const int64_t at = (t.row + r) * s.n + part * (s.n / parts) + t.column + j;
                  got[static_cast<size_t>(at)] = t.values[r * t.stride + part * t.next_part + j];
                }
              }
            }
          });
          ASSERT_EQ(std::memcmp(want.data(), got.data(), want.size() * sizeof(float)), 0)
              << s.m << "x" << s.k << "x" << s.n << " in " << parts << " parts, " << ranges;
        }
      }
    }
  });
}

// Tiles of a range come in the order of their columns, the first one marked, rows in each.
TEST(PackedGemm, TilesOfARangeComeInOrder) {
  constexpr int64_t kM = 130, kK = 3, kN = 1000, kRanges = 4;
  const auto a = draw(kM * kK, 1), b = draw(kK * kN, 2);
  std::vector<int64_t> reached(kM * kRanges);
  packed_gemm_tiles(kM, a.data(), kK, PackedMatrix(false, kK, kN, b.data(), kN), kRanges,
                    [&](const ProductTile& t) {
                      for (int64_t r = t.row; r < t.row + t.rows; ++r) {
                        int64_t& so_far = reached[static_cast<size_t>(r * kRanges + t.range)];
                        EXPECT_EQ(t.first, so_far == 0);
                        EXPECT_EQ(t.column, t.first ? t.column : so_far);
                        so_far = t.column + t.columns;
                      }
                    });
  for (int64_t r = 0; r < kM; ++r) EXPECT_EQ(reached[static_cast<size_t>(r * kRanges + 3)], kN);
}

TEST(PackedGemm, PartsAreChecked) {
  const float b[6] = {1, 2, 3, 4, 5, 6}, a[1] = {1};
  float c[6];
  EXPECT_THROW(PackedMatrix(false, 1, 6, b, 6, 3), Error);
  EXPECT_THROW(PackedMatrix(false, 1, 6, b, 6, 4), Error);
  EXPECT_THROW(packed_gemm(1, a, 1, PackedMatrix(false, 1, 6, b, 6, 2), false, c, 6), Error);
}

// What is not finite reaches exactly the elements whose sums hold it, through zeros too.
TEST(PackedGemm, NanAndInfinityTravel) {
  on_every_isa([] {
    constexpr int64_t kM = 11, kK = 130, kN = 53;
    const float infinity = std::numeric_limits<float>::infinity();
    std::vector<float> a(kM * kK, 1.0f), b(kK * kN, 1.0f), c(kM * kN);
    a[3 * kK + 129] = NAN;      // row 3
    a[7 * kK + 1] = infinity;   // row 7
    b[2 * kN + 52] = infinity;  // column 52
    a[5 * kK + 2] = 0.0f;       // 0 * inf at (5, 52)
    packed_gemm(kM, a.data(), kK, PackedMatrix(false, kK, kN, b.data(), kN), false, c.data(), kN);
    for (int64_t i = 0; i < kM; ++i) {
      for (int64_t j = 0; j < kN; ++j) {
        const float got = c[static_cast<size_t>(i * kN + j)];
        if (i == 3 || (i == 5 && j == 52)) {
          EXPECT_TRUE(std::isnan(got)) << i << "," << j;
        } else if (i == 7 || j == 52) {
          EXPECT_EQ(got, infinity) << i << "," << j;
        } else {
          EXPECT_EQ(got, i == 5 ? 129.0f : 130.0f) << i << "," << j;
        }
      }
    }
  });
}

TEST(PackedGemm, RefusesAMatrixPackedForAnotherInstructionSet) {
  const auto paths = available_isas();
  if (paths.size() < 2) GTEST_SKIP() << "one instruction set on this CPU";
  const Isa before = isa();
  const float b[1] = {2}, a[1] = {3};
  float c[1] = {0};
  set_isa(paths[0]);
  const PackedMatrix packed(false, 1, 1, b, 1);
  set_isa(paths[1]);
  EXPECT_THROW(packed_gemm(1, a, 1, packed, false, c, 1), Error);
  EXPECT_THROW(packed_gemm(1, a, 1, PackedMatrix(), false, c, 1), Error);
  set_isa(before);
}

}  // namespace
}  // namespace enas
