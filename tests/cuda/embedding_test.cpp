// Rows of a device table: the CPU's bits at every width, rows that nobody looks up, indices that do
// not fit.
#include "ops/embedding.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cuda/runtime.h"
#include "tests/cuda/compare.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

constexpr int64_t kWidths[] = {1, 3, 4, 33, 200, 1100};

// Row 1 takes most positions; row 0 and the last are looked up, others are not.
std::vector<int32_t> positions(int64_t n, int64_t rows) {
  const Random random{6, Stream::test, 1};
  std::vector<int32_t> v(static_cast<size_t>(n), 1);
  for (size_t i = 0; i < v.size(); i += 3) {
    v[i] = static_cast<int32_t>(random.below(static_cast<uint32_t>(rows), i));
  }
  v[v.size() / 2] = static_cast<int32_t>(rows - 1);
  v.back() = 0;
  return v;
}

template <class Test>
void for_each_width(Test test) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const int64_t width : kWidths) {
      for (const int64_t offset : {0, 1}) {
        if (offset == 1 && width != 4) continue;
        SCOPED_TRACE(testing::Message() << dtype << " width " << width << ", offset " << offset);
        test(dtype, width, offset);
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

TEST(CudaEmbedding, ForwardAndScale) {
  for_each_width([](DType dtype, int64_t width, int64_t offset) {
    const int64_t n = 37, rows = 20;
    const Tensor table = random_tensor({rows, width}, 1, dtype);
    const Tensor at = Tensor::from_indices(positions(n, rows), {n});
    const Tensor factor = random_tensor({rows}, 2, dtype);
    for (const bool scaled : {false, true}) {
      Tensor y({n, width}, dtype);
      cpu::embedding_forward(table, at, scaled ? factor : Tensor(), y);
      expect_same_each_run(y, 0, [&] {
        Tensor there = at_offset(Tensor::full({n, width}, NAN, dtype), offset);
        cuda::embedding_forward(at_offset(table, offset), at.to(Device::cuda),
                                scaled ? factor.to(Device::cuda) : Tensor(), there);
        return there;
      });
    }
    const Tensor dy = random_tensor({n, width}, 3, dtype);
    Tensor want = empty_like(dy);
    cpu::embedding_scale(dy, at, factor, want);
    expect_same_each_run(want, 0, [&] {
      Tensor there = at_offset(Tensor::full({n, width}, NAN, dtype), offset);
      cuda::embedding_scale(at_offset(dy, offset), at.to(Device::cuda), factor.to(Device::cuda),
                            there);
      return there;
    });
  });
}

TEST(CudaEmbedding, GradientHasTheBitsOfTheCpu) {
  for_each_width([](DType dtype, int64_t width, int64_t offset) {
    const int64_t n = 77, rows = 20;
    const Tensor at = Tensor::from_indices(positions(n, rows), {n});
    const Tensor dy = random_tensor({n, width}, 3, dtype);
    for (const Into into : {Into::write, Into::add}) {
      const Tensor before = into == Into::write ? Tensor::full({rows, width}, NAN, dtype)
                                                : random_tensor({rows, width}, 4, dtype);
      Tensor want = before.clone();
      cpu::embedding_backward(at, dy, want, into);
      expect_same_each_run(want, 0, [&] {
        Tensor there = at_offset(before, offset);
        cuda::embedding_backward(at.to(Device::cuda), at_offset(dy, offset), there, into);
        return there;
      });
    }
  });
}

// Tables of several blocks, rows with more positions than a block has threads, and indices that do
// not fit among the others.
TEST(CudaEmbedding, GradientOfManyRowsAndPositions) {
  for (const int64_t rows : {255, 256, 257, 700}) {
    for (const int64_t n : {1, 256, 257, 1500}) {
      SCOPED_TRACE(testing::Message() << n << " positions of " << rows << " rows");
      std::vector<int32_t> list = positions(n, rows);
      const Tensor dy = random_tensor({n, 2}, 3, DType::f32);
      Tensor want = Tensor::zeros({rows, 2}, DType::f32);
      cpu::embedding_backward(Tensor::from_indices(list, {n}), dy, want, Into::write);
      expect_same_each_run(want, 0, [&] {
        Tensor there = Tensor::full({rows, 2}, NAN, DType::f32, Device::cuda);
        cuda::embedding_backward(Tensor::from_indices(list, {n}).to(Device::cuda),
                                 dy.to(Device::cuda), there, Into::write);
        return there;
      });
      if (HasFatalFailure()) return;
      for (size_t i = 0; i < list.size(); i += 5) {
        list[i] = i % 2 == 0 ? -1 - static_cast<int32_t>(i) : static_cast<int32_t>(rows + 3);
      }
      // The CPU takes no such index: a table row of their own for them.
      std::vector<int32_t> apart = list;
      for (int32_t& v : apart) v = v < 0 || v >= rows ? static_cast<int32_t>(rows) : v;
      Tensor more = Tensor::zeros({rows + 1, 2}, DType::f32);
      cpu::embedding_backward(Tensor::from_indices(apart, {n}), dy, more, Into::write);
      Tensor there = Tensor::full({rows, 2}, NAN, DType::f32, Device::cuda);
      cuda::embedding_backward(Tensor::from_indices(list, {n}).to(Device::cuda),
                               dy.to(Device::cuda), there, Into::write);
      expect_near(there, more.slice(0, rows), 0);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(CudaEmbedding, OneRowAndNoRows) {
  const Tensor dy = random_tensor({40, 5}, 1, DType::f32);
  const Tensor same = Tensor::from_indices(std::vector<int32_t>(40, 0), {40});
  Tensor want({1, 5}), there = Tensor::full({1, 5}, NAN, DType::f32, Device::cuda);
  cpu::embedding_backward(same, dy, want, Into::write);
  cuda::embedding_backward(same.to(Device::cuda), dy.to(Device::cuda), there, Into::write);
  expect_near(there, want, 0);
  const Tensor none = Tensor::from_indices({}, {0}).to(Device::cuda);
  cuda::embedding_backward(none, Tensor({0, 5}, DType::f32, Device::cuda), there, Into::write);
  EXPECT_EQ(there.to_vector(), Values(5));
  EXPECT_EQ(embedding(there, none).shape(), (Shape{0, 5}));
}

// Forward, backward and a second use of a parameter: nobody waits.
TEST(CudaEmbedding, NeverWaits) {
  Parameter p{"table", random_tensor({6, 8}, 1, DType::f32).to(Device::cuda), {}};
  const Tensor at = Tensor::from_indices({3, 1, 3, 0}, {4}).to(Device::cuda);
  const Tensor keep = Tensor::from({1, 0, 2, 4, 1, 1}, {6}).to(Device::cuda);
  const uint64_t waits = cuda::counters().waits;
  Tape tape;
  tape.backward(embedding(tape.use(p), at, keep));
  EXPECT_EQ(cuda::counters().waits, waits);
  Values want(48);
  std::fill_n(want.begin(), 8, 1);
  std::fill_n(want.begin() + 24, 8, 8);
  EXPECT_EQ(p.grad.to_vector(), want);
}

TEST(CudaEmbedding, IndicesThatDoNotFit) {
  for (const int32_t bad : {-1, 6}) {
    const Tensor table = Tensor::full({6, 3}, 2, DType::f32, Device::cuda);
    const Tensor at = Tensor::from_indices({5, bad, 0}, {3}).to(Device::cuda);
    const Tensor y = embedding(table, at).value();
    EXPECT_EQ(error_of([&] { y.to_vector(); }, ErrorKind::data),
              "embedding: index " + std::to_string(bad) + " at position 1 is outside 6 rows");
    EXPECT_EQ(y.to_vector(), (Values{2, 2, 2, 0, 0, 0, 2, 2, 2}));
    Tensor scaled = empty_like(y), dtable = Tensor::full({6, 3}, NAN, DType::f32, Device::cuda);
    cuda::embedding_scale(y, at, Tensor::full({6}, 3, DType::f32, Device::cuda), scaled);
    EXPECT_EQ(error_of([&] { scaled.item(); }, ErrorKind::data),
              "embedding: index " + std::to_string(bad) + " at position 1 is outside 6 rows");
    EXPECT_EQ(scaled.to_vector(), (Values{6, 6, 6, 0, 0, 0, 6, 6, 6}));
    cuda::embedding_backward(at, y, dtable, Into::write);
    Values want(18);
    std::fill_n(want.begin(), 3, 2);
    std::fill_n(want.begin() + 15, 3, 2);
    EXPECT_EQ(dtable.to_vector(), want);
  }
}

TEST(CudaEmbedding, OperandsOnOneDevice) {
  const Tensor table = Tensor::zeros({2, 2}, DType::f32, Device::cuda);
  EXPECT_EQ(error_of([&] { embedding(table, Tensor::from_indices({0}, {1})); }),
            "embedding: the table is on cuda, the indices on cpu");
}

}  // namespace
}  // namespace enas::test
