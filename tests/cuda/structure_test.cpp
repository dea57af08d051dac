// Kernels that move elements: every dtype, odd widths and addresses, more parts than one launch
// takes, many equal indices, and indices that do not fit.
#include "ops/structure.h"

#include <gtest/gtest.h>

#include <functional>

#include "ops/mean_of.h"
#include "ops/pointwise.h"
#include "tests/cuda/compare.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

constexpr DType kDTypes[] = {DType::f32, DType::f64, DType::bf16,
                             DType::f16, DType::i32, DType::u8};

// Small whole numbers, which every dtype holds.
Tensor numbers(const Shape& shape, uint64_t seed, DType dtype) {
  const Random random{seed, Stream::test, 1};
  std::vector<double> v(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = random.below(100, i);
  return Tensor::from(v, shape, dtype);
}
Tensor indices(int64_t n, uint32_t below, uint64_t seed) {
  const Random random{seed, Stream::test, 2};
  std::vector<int32_t> v(static_cast<size_t>(n));
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<int32_t>(random.below(below, i));
  return Tensor::from_indices(v, {n});
}

TEST(CudaStructure, SliceGradients) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const int64_t width : {1, 4, 7, 300}) {
      for (const int64_t begin : {0, 1, 4}) {
        for (const Into into : {Into::write, Into::add}) {
          SCOPED_TRACE(testing::Message() << dtype << " width " << width << " from " << begin);
          const Tensor dy = random_tensor({3, width}, 1, dtype);
          Tensor dx = random_tensor({8, width}, 2, dtype), there = at_offset(dx, 0);
          cpu::slice_rows_backward(dy, begin, dx, into);
          cuda::slice_rows_backward(at_offset(dy, begin), begin, there, into);
          expect_near(there, dx, 0);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST(CudaStructure, ManyPartsOfAnyDtype) {
  for (const DType dtype : kDTypes) {
    for (const int64_t width : {1, 16, 5}) {
      SCOPED_TRACE(testing::Message() << dtype << " width " << width);
      std::vector<Var> here, there;
      int64_t rows = 0;
      for (int64_t i = 0; i < 131; ++i) {  // three launches
        const int64_t count = i == 7 ? 70000 / width : i % 3;
        here.emplace_back(numbers({count, width}, static_cast<uint64_t>(i), dtype));
        there.emplace_back(at_offset(here.back().value(), i == 130 ? 1 : 0));
        rows += count;
      }
      Tensor y({rows, width}, dtype), y_there({rows, width}, dtype, Device::cuda);
      cpu::concat_rows_forward(y, here);
      cuda::concat_rows_forward(y_there, there);
      expect_near(y_there, y, 0);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(CudaStructure, GatherAndPickOfAnyDtype) {
  for (const DType dtype : kDTypes) {
    for (const int64_t width : {1, 3, 8, 70}) {
      for (const int64_t offset : {0, 1}) {
        SCOPED_TRACE(testing::Message() << dtype << " width " << width << " at " << offset);
        const Tensor x = numbers({9, width}, 3, dtype), rows = indices(21, 9, 4);
        Tensor y({21, width}, dtype), there({21, width}, dtype, Device::cuda);
        cpu::gather_rows_forward(x, rows, y);
        cuda::gather_rows_forward(at_offset(x, offset), at_offset(rows, offset), there);
        expect_near(there, y, 0);
        const Tensor columns = indices(9, static_cast<uint32_t>(width), 5);
        Tensor z({9}, dtype), z_there({9}, dtype, Device::cuda);
        cpu::pick_forward(x, columns, z);
        cuda::pick_forward(at_offset(x, offset), at_offset(columns, 0), z_there);
        expect_near(z_there, z, 0);
        if (HasFatalFailure()) return;
      }
    }
  }
}

// The rows of one index are added in their order, as on the CPU: the same bits.
TEST(CudaStructure, GatherGradients) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const auto& [n, below] : {std::pair<int64_t, uint32_t>{1, 5}, {70, 5}, {300, 2}, {0, 5}}) {
      for (const int64_t width : {1, 7, 200}) {
        for (const Into into : {Into::write, Into::add}) {
          SCOPED_TRACE(testing::Message() << dtype << ' ' << n << " by " << width);
          const Tensor dy = random_tensor({n, width}, 1, dtype), rows = indices(n, below, 6);
          const Tensor before = random_tensor({5, width}, 2, dtype);
          Tensor dx = before.clone();
          cpu::gather_rows_backward(dy, rows, dx, into);
          const Tensor dy_there = at_offset(dy, 1), rows_there = rows.to(Device::cuda);
          expect_same_each_run(dx, 0, [&] {
            Tensor there = before.to(Device::cuda);
            cuda::gather_rows_backward(dy_there, rows_there, there, into);
            return there;
          });
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST(CudaStructure, PickGradients) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const int64_t width : {1, 33, 70}) {
      for (const Into into : {Into::write, Into::add}) {
        const Tensor dy = random_tensor({9}, 1, dtype);
        const Tensor columns = indices(9, static_cast<uint32_t>(width), 5);
        Tensor dx = random_tensor({9, width}, 2, dtype), there = at_offset(dx, 1);
        cpu::pick_backward(dy, columns, dx, into);
        cuda::pick_backward(at_offset(dy, 0), columns.to(Device::cuda), there, into);
        expect_near(there, dx, 0);
      }
    }
  }
}

TEST(CudaStructure, ColumnsOfAnyDtype) {
  for (const DType dtype : kDTypes) {
    for (const auto& [left, right] :
         {std::pair<int64_t, int64_t>{4, 8}, {1, 3}, {0, 5}, {70, 16}}) {
      SCOPED_TRACE(testing::Message() << dtype << ' ' << left << " and " << right);
      const Tensor a = numbers({9, left}, 1, dtype), b = numbers({9, right}, 2, dtype);
      Tensor y({9, left + right}, dtype), there({9, left + right}, dtype, Device::cuda);
      cpu::concat_columns_forward(a, b, y);
      cuda::concat_columns_forward(at_offset(a, 0), at_offset(b, 1), there);
      expect_near(there, y, 0);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(CudaStructure, ColumnGradients) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Into into : {Into::write, Into::add}) {
      const Tensor dy = random_tensor({9, 75}, 1, dtype);
      Tensor dx = random_tensor({9, 70}, 2, dtype), there = at_offset(dx, 0);
      cpu::concat_columns_backward(dy, 5, dx, into);
      cuda::concat_columns_backward(dy.to(Device::cuda), 5, there, into);
      expect_near(there, dx, 0);
    }
  }
}

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// Indices on the device are tested there: zeros in the row, the error at the next wait.
TEST(CudaStructure, IndicesThatDoNotFit) {
  const Tensor x = numbers({5, 5}, 1, DType::f32).to(Device::cuda);
  for (const int32_t bad : {5, -1, 1 << 30}) {
    const std::string text = std::to_string(bad);
    Tensor rows = Tensor::from_indices({1, bad, 4}, {3}).to(Device::cuda);
    Tensor y = gather_rows(x, rows).value();
    EXPECT_EQ(error_of([&] { y.to_vector(); }),
              "gather_rows: index " + text + " at position 1 is outside 5 rows");
    EXPECT_EQ(y.slice(1, 2).to_vector(), std::vector<double>(5, 0.0));
    EXPECT_EQ(y.slice(2, 3).to_vector(), x.slice(4, 5).to_vector());
    Tensor dx = Tensor::zeros({5, 5}, DType::f32, Device::cuda);
    cuda::gather_rows_backward(y, rows, dx, Into::add);
    EXPECT_EQ(dx.slice(4, 5).to_vector(), x.slice(4, 5).to_vector());
    EXPECT_EQ(dx.slice(0, 1).to_vector(), std::vector<double>(5, 0.0));

    const Tensor columns = Tensor::from_indices({0, 1, bad, 2, 0}, {5}).to(Device::cuda);
    Tensor picked = pick(x, columns).value();
    EXPECT_EQ(error_of([&] { picked.to_vector(); }),
              "pick: index " + text + " at position 2 is outside 5 rows");
    EXPECT_EQ(picked.item(2), 0);
    std::vector<double> want(25, 0.0);
    const std::vector<double> gradients = picked.to_vector();
    want[0] = gradients[0], want[6] = gradients[1], want[17] = gradients[3];
    want[20] = gradients[4];
    cuda::pick_backward(picked, columns, dx, Into::write);
    EXPECT_EQ(dx.to_vector(), want);
    for (double& g : want) g *= 2;
    cuda::pick_backward(picked, columns, dx, Into::add);
    EXPECT_EQ(dx.to_vector(), want);
  }
}

// Indices on the CPU are tested at once, on either device of x.
TEST(CudaStructure, IndicesOfTheOtherDevice) {
  const Tensor here = numbers({5, 3}, 1, DType::f32), there = here.to(Device::cuda);
  const Tensor rows = Tensor::from_indices({4, 0}, {2}), bad = Tensor::from_indices({0, 5}, {2});
  const std::vector<double> want = gather_rows(here, rows).value().to_vector();
  EXPECT_EQ(gather_rows(there, rows).value().to_vector(), want);
  EXPECT_EQ(gather_rows(here, rows.to(Device::cuda)).value().to_vector(), want);
  const std::string text = "gather_rows: index 5 at 1 is outside an axis of 5";
  EXPECT_EQ(error_of([&] { gather_rows(there, bad); }), text);
  EXPECT_EQ(error_of([&] { gather_rows(here, bad.to(Device::cuda)); }), text);
}

TEST(CudaStructure, TensorsOfTwoDevicesAreRefused) {
  const Tensor here = numbers({5, 3}, 1, DType::f32), there = here.to(Device::cuda);
  for (const std::function<void()>& mixed : std::vector<std::function<void()>>{
           [&] { concat_columns(there, here); }, [&] { add(here, there); },
           [&] {
             concat_rows({here, there});
           },
           [&] {
             mean_of({here, there});
           }}) {
    EXPECT_NE(error_of(mixed).find(" on different devices; move them to one"), std::string::npos);
  }
}

// A gradient that several ops share is copied before one adds to it, on the device too.
TEST(CudaStructure, SharedGradientsStayApart) {
  Tape tape;
  const Var a = tape.variable(Tensor::from({1, 2}, {1, 2}).to(Device::cuda));
  const Var b = tape.variable(Tensor::from({3, 4}, {1, 2}).to(Device::cuda));
  const Var early = square(a);
  tape.backward(concat_rows({early, concat_rows({a, b}), reshape(a, {1, 2})}));
  EXPECT_EQ(tape.gradient(a).to_vector(), (std::vector<double>{4, 6}));
  EXPECT_EQ(tape.gradient(b).to_vector(), (std::vector<double>{1, 1}));
}

}  // namespace
}  // namespace enas::test
