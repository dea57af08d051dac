// The product of stacked rows: against sums in double on every instruction set.
#include "tensor/stacked_gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
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

struct Stack {
  std::vector<std::vector<float>> a, b;
  std::vector<RowBlock> blocks;
};
Stack stack_of(const std::vector<int64_t>& rows, int64_t m, int64_t n) {
  Stack stack;
  for (const int64_t r : rows) {
    stack.a.push_back(draw(r * m, 2 * stack.a.size()));
    stack.b.push_back(draw(r * n, 2 * stack.b.size() + 1));
    stack.blocks.push_back({stack.a.back().data(), stack.b.back().data(), r});
  }
  return stack;
}

void against_double(const std::vector<int64_t>& rows, int64_t m, int64_t n, bool add) {
  const Stack stack = stack_of(rows, m, n);
  const auto before = draw(m * n, 99);
  std::vector<float> c = add ? before : std::vector<float>(static_cast<size_t>(m * n), NAN);
  stacked_gemm(stack.blocks, m, n, add, c.data());
  const auto total = std::accumulate(rows.begin(), rows.end(), int64_t{0});
  const double bound = (static_cast<double>(total) + 8) * 4 * 0x1p-24;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      const auto at = static_cast<size_t>(i * n + j);
      double want = add ? static_cast<double>(before[at]) : 0, size = std::fabs(want);
      for (const RowBlock& block : stack.blocks) {
        for (int64_t r = 0; r < block.rows; ++r) {
          const double term =
              static_cast<double>(block.a[r * m + i]) * static_cast<double>(block.b[r * n + j]);
          want += term;
          size += std::fabs(term);
        }
      }
      ASSERT_NEAR(static_cast<double>(c[at]), want, bound * size + 1e-30)
          << m << "x" << n << " of " << total << " rows at " << i << "," << j;
    }
  }
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

// Heights of a tile, widths around vectors and panels, blocks that begin within a block of rows,
// and parts of C.
TEST(StackedGemm, EqualsSumsInDouble) {
  on_every_isa([] {
    for (const bool add : {false, true}) {
      for (int64_t m = 1; m <= 17; ++m) against_double({5, 4}, m, 50, add);
      for (const int64_t n : {1, 3, 4, 7, 8, 15, 16, 17, 31, 33, 47, 48, 49, 97, 200})
        against_double({6, 0, 1}, 9, n, add);
      against_double({64, 64, 64, 64, 64}, 20, 40, add);
      against_double({127, 2, 300}, 10, 50, add);
      against_double({}, 3, 5, add);
      against_double({20, 3}, 371, 30, add);
      against_double({20, 3}, 30, 371, add);
      against_double({9}, 730, 371, add);
    }
  });
}

TEST(StackedGemm, SameBitsForAnyNumberOfThreads) {
  const Stack stack = stack_of({64, 64, 30}, 401, 800);
  std::vector<float> want(401 * 800), got(want.size());
  set_thread_count(1);
  stacked_gemm(stack.blocks, 401, 800, false, want.data());
  for (const int threads : {2, 3, 4}) {
    set_thread_count(threads);
    stacked_gemm(stack.blocks, 401, 800, false, got.data());
    EXPECT_EQ(std::memcmp(want.data(), got.data(), want.size() * sizeof(float)), 0) << threads;
  }
  set_thread_count(0);
}

}  // namespace
}  // namespace enas
