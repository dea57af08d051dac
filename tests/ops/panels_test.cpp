#include "ops/panels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace enas::test {
namespace {

// Small integers: every sum is exact, so that all orders of summation agree.
std::vector<float> numbers(int64_t n, int seed) {
  std::vector<float> v(static_cast<size_t>(n));
  for (size_t i = 0; i < v.size(); ++i)
    v[i] = static_cast<float>((i * 7 + static_cast<size_t>(seed)) % 11) - 5;
  return v;
}

template <class F>
void on_each_isa(F&& f) {
  const Isa before = isa();
  for (const Isa path : available_isas()) {
    set_isa(path);
    SCOPED_TRACE(std::string(name_of(path)));
    f();
  }
  set_isa(before);
}

constexpr int64_t kColumns[] = {1,  3,  4,  5,  8,  10, 15, 16, 17, 20,
                                24, 33, 36, 40, 48, 60, 65, 72, 80};

// c in rows of `columns` + 3, whose margin must stay.
void expect_product(int64_t rows, int64_t depth, int64_t columns, bool add) {
  // Two runs, the second one every other row of a wider matrix.
  const int64_t second = depth / 2 + 1, ldc = columns + 3, total = depth + second;
  const std::vector<float> a = numbers(rows * depth, 1), b = numbers(rows * 2 * (second + 2), 2);
  const std::vector<float> w = numbers(total * columns, 3);
  std::vector<float> c = numbers(rows * ldc, 4);
  const std::vector<float> before = c;
  Tensor panels({panels_size(total, columns)});
  float* const packed = panels.data<float>();
  panels_pack(w.data(), columns, 1, 0, depth, total, columns, packed);
  panels_pack(w.data() + depth * columns, columns, 1, depth, second, total, columns, packed);
  const PanelRun runs[] = {{a.data(), depth, depth}, {b.data(), 2 * (second + 2), second}};
  panels_multiply(runs, 2, rows, packed, columns, c.data(), ldc, add);
  for (int64_t i = 0; i < rows * ldc; ++i) {
    const int64_t r = i / ldc, j = i % ldc;
    float want = before[static_cast<size_t>(i)];
    if (j < columns) {
      if (!add) want = 0;
      for (int64_t k = 0; k < depth; ++k)
        want += a[static_cast<size_t>(r * depth + k)] * w[static_cast<size_t>(k * columns + j)];
      for (int64_t k = 0; k < second; ++k)
        want += b[static_cast<size_t>(r * 2 * (second + 2) + k)] *
                w[static_cast<size_t>((depth + k) * columns + j)];
    }
    ASSERT_EQ(c[static_cast<size_t>(i)], want)
        << rows << " rows, depth " << depth << ", " << columns << " columns, at " << r << ", " << j;
  }
}

TEST(Panels, MultiplyEveryRemainder) {
  on_each_isa([] {
    for (const int64_t columns : kColumns) {
      for (int64_t rows = 1; rows <= 18; ++rows) expect_product(rows, 5, columns, false);
      expect_product(33, 20, columns, true);
      // The last few columns two or four rows a vector.
      for (const int64_t depth : {43, 44, 61, 90, 131}) {
        expect_product(1, depth, columns, true);
        expect_product(29, depth, columns, false);
      }
    }
  });
}

// A run of zeros without an address: its rows of the matrix are passed over.
TEST(Panels, RunsOfZerosArePassedOver) {
  on_each_isa([] {
    for (const int64_t columns : kColumns) {
      for (const int64_t depth : {3, 8, 9, 33}) {
        constexpr int64_t kRows = 5;
        const std::vector<float> a = numbers(kRows * depth, 1), w = numbers(4 * depth * columns, 2);
        const std::vector<float> zeros(a.size());
        Tensor panels({panels_size(4 * depth, columns)});
        panels_pack(w.data(), columns, 1, 0, 4 * depth, 4 * depth, columns, panels.data<float>());
        const auto product = [&](const float* nothing) {
          std::vector<float> c(static_cast<size_t>(kRows * columns));
          const PanelRun zero{nothing, depth, depth}, run{a.data(), depth, depth};
          const PanelRun runs[] = {zero, run, zero, run};
          panels_multiply(runs, 4, kRows, panels.data<float>(), columns, c.data(), columns, false);
          return c;
        };
        EXPECT_EQ(product(nullptr), product(zeros.data())) << columns << " columns";
      }
    }
  });
}

// As the gradient of weights of a window: pixels in rows with a pitch of their own.
void expect_outer(int64_t m, int64_t columns, int64_t rows, int64_t pixels, bool add) {
  const int64_t x_pixel = m + 1, x_row = pixels * x_pixel + 2, ldw = columns + 3;
  const std::vector<float> x = numbers(rows * x_row, 1);
  const std::vector<float> dy = numbers(rows * pixels * columns, 2);  // nothing behind the last one
  std::vector<float> dw = numbers(m * ldw, 3);
  const std::vector<float> before = dw;
  const PanelPixels p{x.data(), x_pixel, x_row, dy.data(), columns, pixels * columns, rows, pixels};
  panels_outer(p, m, columns, dw.data(), ldw, add);
  for (int64_t i = 0; i < m * ldw; ++i) {
    const int64_t a = i / ldw, j = i % ldw;
    float want = before[static_cast<size_t>(i)];
    if (j < columns) {
      if (!add) want = 0;
      for (int64_t q = 0; q < rows * pixels; ++q)
        want += x[static_cast<size_t>(q / pixels * x_row + q % pixels * x_pixel + a)] *
                dy[static_cast<size_t>(q * columns + j)];
    }
    ASSERT_EQ(dw[static_cast<size_t>(i)], want)
        << m << " x " << columns << " over " << rows << " x " << pixels << " pixels, at " << a
        << ", " << j;
  }
}

TEST(Panels, OuterEveryRemainder) {
  on_each_isa([] {
    for (const int64_t columns : kColumns) {
      for (int64_t m = 1; m <= 20; ++m) expect_outer(m, columns, 2, 5, false);
      expect_outer(9, columns, 3, 70, true);
      expect_outer(4, columns, 1, 1, true);
    }
  });
}

TEST(Panels, TransposedMatricesArePacked) {
  on_each_isa([] {
    const std::vector<float> w = numbers(7 * 19, 1);
    std::vector<float> turned(w.size());
    for (size_t i = 0; i < w.size(); ++i) turned[i % 19 * 7 + i / 19] = w[i];
    Tensor one({panels_size(7, 19)}), two({panels_size(7, 19)});
    panels_pack(w.data(), 19, 1, 0, 7, 7, 19, one.data<float>());
    panels_pack(turned.data(), 1, 7, 0, 7, 7, 19, two.data<float>());
    EXPECT_EQ(one.to_vector(), two.to_vector());
  });
}

}  // namespace
}  // namespace enas::test
