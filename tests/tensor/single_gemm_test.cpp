// The product with a matrix that is used once: against sums in double on every instruction set.
#include "tensor/single_gemm.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cmath>
#include <vector>

#include "tensor/check.h"
#include "tensor/isa.h"
#include "tensor/philox.h"
#include "tensor/tensor.h"
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

// Floats that end where memory ends.
class Fenced {
 public:
  explicit Fenced(const std::vector<float>& values)
      : bytes_((values.size() * 4 + kFence - 1) / kFence * kFence + kFence),
        base_(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)),
        data_(reinterpret_cast<float*>(fence()) - values.size()) {
    mprotect(fence(), kFence, PROT_NONE);
    std::copy(values.begin(), values.end(), data_);
  }
  ~Fenced() { munmap(base_, bytes_); }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;
  float* data() const { return data_; }

 private:
  static constexpr size_t kFence = 65536;
  char* fence() const { return static_cast<char*>(base_) + bytes_ - kFence; }
  size_t bytes_;
  void* base_;
  float* data_;
};

TEST(SingleGemm, TouchesNothingBehindItsMatrices) {
  on_every_isa([] {
    constexpr int64_t kM = 9, kK = 33;
    for (const Turn turn : {Turn::none, Turn::a, Turn::b}) {
      for (const int64_t n : {1, 7, 50, 99}) {
        const Fenced a(draw(kM * kK, 1)), b(draw(kK * n, 2)), c(draw(kM * n, 3));
        single_gemm(turn == Turn::a, turn == Turn::b, kM, n, kK, a.data(),
                    turn == Turn::a ? kM : kK, b.data(), turn == Turn::b ? kK : n, true, c.data(),
                    n);
      }
    }
  });
}

// What is packed fits its scratch: of whatever size that is, it lies between blocks of the same
// size, which keep their bits.
TEST(SingleGemm, PacksWithinItsScratch) {
  constexpr int64_t kM = 9, kN = 96, kK = 1024;
  const auto a = draw(kM * kK, 1), b = draw(kK * kN, 2);
  std::vector<float> c(kM * kN);
  const auto run_between_blocks_of = [&](int64_t floats) {
    std::vector<Tensor> blocks;
    for (int i = 0; i < 17; ++i) {
      blocks.emplace_back(Shape{floats});
      std::fill_n(blocks.back().data<float>(), floats, 1.0f);
    }
    for (size_t i = 1; i < blocks.size(); i += 2) blocks[i] = Tensor();
    single_gemm(false, false, kM, kN, kK, a.data(), kK, b.data(), kN, false, c.data(), kN);
    for (size_t i = 0; i < blocks.size(); i += 2) {
      const float* const at = blocks[i].data<float>();
      for (int64_t j = 0; j < floats; ++j) ASSERT_EQ(at[j], 1.0f) << "block " << i;
    }
  };
  on_every_isa([&] {
    for (int64_t floats = 1024; floats <= 512 * 48; floats += 1024) run_between_blocks_of(floats);
  });
}

TEST(SingleGemm, EmptyMatricesAndRefusals) {
  const auto product = [](bool turn_a, bool turn_b, int64_t m, int64_t n) {
    single_gemm(turn_a, turn_b, m, n, 5, nullptr, 5, nullptr, 99, false, nullptr, 99);
  };
  for (const bool turn_b : {false, true}) {
    product(false, turn_b, 0, 99);
    product(false, turn_b, 9, 0);
  }
  EXPECT_THROW(product(true, true, 9, 99), Error);
}

TEST(SingleGemm, SuitsFewRows) {
  EXPECT_TRUE(single_gemm_suits(false, false, 64, 2000, 1000));
  EXPECT_TRUE(single_gemm_suits(false, true, 64, 1000, 2000));
  EXPECT_FALSE(single_gemm_suits(false, false, 2240, 10000, 1000));
  EXPECT_FALSE(single_gemm_suits(false, false, 1, 2000, 1000));
  EXPECT_FALSE(single_gemm_suits(false, false, 64, 64, 64));
  for (const int64_t k : {100, 1000}) EXPECT_FALSE(single_gemm_suits(true, true, 64, 2000, k));
  EXPECT_FALSE(single_gemm_suits(false, false, 64, 2000, 0));
  EXPECT_FALSE(single_gemm_suits(false, false, 64, int64_t{1} << 20, 64));  // too many panels
  EXPECT_FALSE(single_gemm_suits(true, false, 1000, 2000, 2240));
}

}  // namespace
}  // namespace enas
