// Look-up of table rows, its row-sparse gradient, and word dropout as row factors.
#include "ops/embedding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tensor/thread_pool.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

Reference lookup_reference(size_t width, bool scaled) {
  return [=](const std::vector<Values>& in) {
    Values y;
    for (const double index : in[1]) {
      const auto row = static_cast<size_t>(index);
      const double factor = scaled ? in[2][row] : 1;
      for (size_t j = 0; j < width; ++j) y.push_back(factor * in[0][row * width + j]);
    }
    return std::vector<Values>{y};
  };
}

std::vector<Var> plain(Tape&, const std::vector<Var>& x) { return {embedding(x[0], x[1].value())}; }
std::vector<Var> scaled(Tape&, const std::vector<Var>& x) {
  return {embedding(x[0], x[1].value(), x[2].value())};
}

// sum_length: the most positions that share a row.
OP_CASES(embedding,
         {.label = "5x3_n7",
          .inputs = {in({5, 3}), indices({7}, 5)},
          .op = plain,
          .reference = lookup_reference(3, false),
          .sum_length = 7},
         {.label = "1x1_n1",
          .inputs = {in({1, 1}), indices({1}, 1)},
          .op = plain,
          .reference = lookup_reference(1, false)},
         {.label = "33x33_n3x7",
          .inputs = {in({33, 33}), indices({3, 7}, 33)},
          .op = plain,
          .reference = lookup_reference(33, false),
          .sum_length = 21},
         {.label = "5x3_n7_scaled",
          .inputs = {in({5, 3}), indices({7}, 5), constant({5}, 0, 2)},
          .op = scaled,
          .reference = lookup_reference(3, true),
          .sum_length = 7},
         {.label = "200x100_n2000_scaled",
          .inputs = {in({200, 100}), indices({2000}, 200), constant({200}, 0, 2)},
          .op = scaled,
          .reference = lookup_reference(100, true),
          .sum_length = 40,
          .draws = 1},
         {.label = "10000x1000_n2240",
          .inputs = {in({10000, 1000}), indices({2240}, 10000)},
          .op = plain,
          .reference = lookup_reference(1000, false),
          .sum_length = 8,
          .check = {.most_elements = 1},
          .draws = 1,
          .bench = true,
          .bytes = 2240 * 1000 * 8});

// Two uses of one parameter at a tape: rows sum over both, rows not used are zero, not garbage.
TEST(EmbeddingGradient, SumsUsesAndZeroesTheRest) {
  memory_pool().set_poison(true);
  Parameter p{"table", Tensor::zeros({5, 2}, DType::f64), {}};
  Tape tape;
  const Tensor first = Tensor::from_indices({3, 1, 3}, {3}),
               second = Tensor::from_indices({1}, {1});
  const Var y = embedding(tape.use(p), first), z = embedding(tape.use(p), second);
  const Var loss =
      record("sum", {y, z}, Tensor::zeros({}, DType::f64), [](const Tensor&, Grads& dx) {
        dx[0].accept(Tensor::from({1, 2, 10, 20, 100, 200}, {3, 2}, DType::f64));
        dx[1].accept(Tensor::from({1000, 2000}, {1, 2}, DType::f64));
      });
  tape.backward(loss);
  memory_pool().set_poison(false);
  EXPECT_EQ(p.grad.to_vector(), (Values{0, 0, 1010, 2020, 0, 0, 101, 202, 0, 0}));
}

TEST(EmbeddingGradient, RowFactorIsPartOfIt) {
  Parameter p{"table", Tensor::full({3, 1}, 7, DType::f64), {}};
  Tape tape;
  const Var y = embedding(tape.use(p), Tensor::from_indices({2, 0, 2}, {3}),
                          Tensor::from({0, 9, 2.5}, {3}, DType::f64));
  EXPECT_EQ(y.value().to_vector(), (Values{17.5, 0, 17.5}));
  tape.backward(y);  // ones
  EXPECT_EQ(p.grad.to_vector(), (Values{0, 0, 5}));
}

// One row takes nearly all positions: sums stay in order of position for any number of threads.
TEST(EmbeddingGradient, FrequentRowHasTheSameBitsForAnyThreads) {
  const int64_t n = 3000, width = 70;
  std::vector<int32_t> list(static_cast<size_t>(n), 1);
  for (size_t i = 0; i < list.size(); i += 13) list[i] = static_cast<int32_t>(i % 40);
  const Tensor at = Tensor::from_indices(list, {n});
  Tensor dy({n, width});
  const Random random{3, Stream::test, 0};
  for (int64_t i = 0; i < dy.numel(); ++i) {
    dy.data<float>()[i] = random.uniform(static_cast<uint64_t>(i));
  }
  const int before = thread_count();
  Tensor want({40, width});
  set_thread_count(1);
  cpu::embedding_backward(at, dy, want, Into::write);
  for (const int threads : {2, 4}) {
    set_thread_count(threads);
    Tensor got = Tensor::full({40, width}, NAN);
    cpu::embedding_backward(at, dy, got, Into::write);
    EXPECT_EQ(std::memcmp(got.raw(), want.raw(), want.bytes()), 0) << threads << " threads";
  }
  set_thread_count(before);
}

TEST(Embedding, RefusesIndicesOutsideTheTable) {
  const Var table = Tensor::zeros({10, 2});
  for (const int32_t bad : {-1, 10}) {
    EXPECT_EQ(error_of(
                  [&] {
                    embedding(table, Tensor::from_indices({3, bad}, {2}));
                  },
                  ErrorKind::data),
              "embedding: index " + std::to_string(bad) +
                  " at position 1 is outside the table of 10 rows");
  }
}

TEST(Embedding, RefusesWhatDoesNotFit) {
  const Var table = Tensor::zeros({10, 2});
  const Tensor at = Tensor::from_indices({1}, {1});
  EXPECT_EQ(error_of([&] { embedding(Tensor::zeros({10}), at); }),
            "embedding: needs a table [V, H], got [10]");
  EXPECT_EQ(error_of([&] { embedding(table, Tensor::zeros({1})); }),
            "embedding: needs i32 indices, got f32");
  EXPECT_EQ(error_of([&] { embedding(table, at, Tensor::zeros({2})); }),
            "embedding: row_scale must be f32 [10], got f32 [2]");
  EXPECT_EQ(embedding(table, Tensor::from_indices({}, {0})).shape(), (Shape{0, 2}));
}

}  // namespace
}  // namespace enas::test
