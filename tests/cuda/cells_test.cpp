// Kernels of the recurrent cells where the op cases do not reach on the CPU: more columns than one
// block has threads, more rows than a grid has blocks, operands at odd offsets, one mask alone.
#include <gtest/gtest.h>

#include "cuda/runtime.h"
#include "ops/cell_input.h"
#include "ops/highway_cell.h"
#include "ops/lstm_cell.h"
#include "ops/matmul.h"
#include "ops/plain_cell.h"
#include "tests/cuda/compare.h"
#include "tests/ops/window.h"

namespace enas::test {
namespace {

struct Size {
  int64_t rows, columns, offset;
};
// The last has more rows than a grid has blocks along y.
constexpr Size kSizes[] = {{3, 300, 0}, {2, 513, 1}, {5, 32, 3},
                           {1, 1, 0},   {0, 4, 0},   {2051, 1, 0}};

// f(dtype, size) for every size and both dtypes.
template <class F>
void each_size(F f) {
  for (const Size& size : kSizes) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      SCOPED_TRACE(testing::Message() << dtype << ' ' << size.rows << 'x' << size.columns);
      f(dtype, size);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

// Operands of a kernel here and there, at the same numbers.
struct Twins {
  Twins(DType type, int64_t odd) : dtype(type), offset(odd) {}
  DType dtype;
  int64_t offset;
  uint64_t next = 1;
  std::vector<Tensor> here, there;

  size_t add(const Shape& shape) {
    here.push_back(random_tensor(shape, next++, dtype));
    there.push_back(at_offset(here.back(), offset));
    return here.size() - 1;
  }
  void expect_same(std::initializer_list<size_t> outputs) const {
    for (const size_t i : outputs) expect_near(there[i], here[i], rounding(dtype));
  }
};

TEST(CudaCells, HighwayGatesForward) {
  each_size([](DType dtype, const Size& size) {
    for (int f = 0; f < kActivations; ++f) {
      Twins t(dtype, size.offset);
      const size_t s = t.add({size.rows, size.columns}), z = t.add({size.rows, 2 * size.columns});
      const size_t y = t.add({size.rows, size.columns});
      cpu::highway_gates_forward(t.here[s], static_cast<Activation>(f), t.here[z], t.here[y]);
      cuda::highway_gates_forward(t.there[s], static_cast<Activation>(f), t.there[z], t.there[y]);
      t.expect_same({z, y});
    }
  });
}

TEST(CudaCells, HighwayGatesBackward) {
  each_size([](DType dtype, const Size& size) {
    for (const Into into : {Into::write, Into::add}) {
      Twins t(dtype, size.offset);
      const Shape narrow{size.rows, size.columns}, wide{size.rows, 2 * size.columns};
      const size_t gates = t.add(wide), s = t.add(narrow), dy = t.add(narrow), dz = t.add(wide);
      const size_t ds = t.add(narrow);
      cpu::highway_gates_backward(t.here[gates], t.here[s], t.here[dy], Activation::tanh,
                                  t.here[dz], &t.here[ds], into);
      cuda::highway_gates_backward(t.there[gates], t.there[s], t.there[dy], Activation::tanh,
                                   t.there[dz], &t.there[ds], into);
      t.expect_same({dz, ds});
      cuda::highway_gates_backward(t.there[gates], t.there[s], t.there[dy], Activation::tanh,
                                   t.there[dz], nullptr, into);
      t.expect_same({dz, ds});
    }
  });
}

TEST(CudaCells, LstmGatesForward) {
  each_size([](DType dtype, const Size& size) {
    Twins t(dtype, size.offset);
    const Shape narrow{size.rows, size.columns};
    const size_t c = t.add(narrow), z = t.add({size.rows, 4 * size.columns});
    const size_t h_next = t.add(narrow), c_next = t.add(narrow);
    cpu::lstm_gates_forward(t.here[c], t.here[z], t.here[h_next], t.here[c_next]);
    cuda::lstm_gates_forward(t.there[c], t.there[z], t.there[h_next], t.there[c_next]);
    t.expect_same({z, h_next, c_next});
  });
}

TEST(CudaCells, LstmGatesBackward) {
  each_size([](DType dtype, const Size& size) {
    for (int absent = 0; absent < 4; ++absent) {
      Twins t(dtype, size.offset);
      const Shape narrow{size.rows, size.columns}, wide{size.rows, 4 * size.columns};
      const size_t gates = t.add(wide), c = t.add(narrow), c_next = t.add(narrow);
      const size_t dh = t.add(narrow), dc_next = t.add(narrow), dz = t.add(wide);
      const size_t dc = t.add(narrow);
      const Into into = absent == 0 ? Into::add : Into::write;
      const auto back = [&](auto f, std::vector<Tensor>& x) {
        f(x[gates], x[c], x[c_next], absent == 1 ? Tensor() : x[dh],
          absent == 2 ? Tensor() : x[dc_next], x[dz], absent == 3 ? nullptr : &x[dc], into);
      };
      back(cpu::lstm_gates_backward, t.here);
      back(cuda::lstm_gates_backward, t.there);
      t.expect_same({dz, dc});
    }
  });
}

TEST(CudaCells, Activations) {
  each_size([](DType dtype, const Size& size) {
    for (int id = 0; id < kActivations; ++id) {
      const auto f = static_cast<Activation>(id);
      Twins t(dtype, size.offset);
      const Shape shape{size.rows, size.columns};
      const size_t y = t.add(shape), dy = t.add(shape), dz = t.add(shape);
      cpu::activation_forward(f, t.here[y]);
      cpu::activation_backward(f, t.here[y], t.here[dy], t.here[dz]);
      cuda::activation_forward(f, t.there[y]);
      cuda::activation_backward(f, t.there[y], t.there[dy], t.there[dz]);
      t.expect_same({y, dz});
    }
  });
}

TEST(CudaCells, MaskedInputs) {
  each_size([](DType dtype, const Size& size) {
    for (const bool mask_x : {false, true}) {
      for (const bool mask_s : {false, true}) {
        Twins t(dtype, size.offset);
        const int64_t other = 3;  // columns of s
        const size_t x = t.add({size.rows, size.columns}), s = t.add({size.rows, other});
        const size_t m = t.add({size.rows, size.columns}), n = t.add({size.rows, other});
        const size_t both = t.add({size.rows, size.columns + other});
        const size_t one = t.add({size.rows, size.columns});
        const auto join = [&](auto f, std::vector<Tensor>& v) {
          const Tensor of_x = mask_x ? v[m] : Tensor(), of_s = mask_s ? v[n] : Tensor();
          f(v[x], of_x, v[s], of_s, v[both]);
          f(v[x], of_x, Tensor(), Tensor(), v[one]);
        };
        join(cpu::masked_columns, t.here);
        join(cuda::masked_columns, t.there);
        t.expect_same({both, one});
      }
    }
  });
}

TEST(CudaCells, MaskedGradients) {
  each_size([](DType dtype, const Size& size) {
    for (const Into into : {Into::write, Into::add}) {
      Twins t(dtype, size.offset);
      const Shape shape{size.rows, size.columns};
      const size_t product = t.add(shape), mask = t.add(shape), dx = t.add(shape);
      cpu::masked_add(t.here[product], t.here[mask], t.here[dx], into);
      cuda::masked_add(t.there[product], t.there[mask], t.there[dx], into);
      t.expect_same({dx});
    }
  });
}

// Rows on both sides of each number that has a kernel of its own; the last is a product.
constexpr Size kSteps[] = {{1, 8, 0},  {1, 1, 1},   {2, 7, 3}, {4, 9, 0},
                           {5, 17, 1}, {16, 33, 0}, {17, 8, 0}};

template <class F>
void each_step(F f) {
  for (const Size& size : kSteps) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      for (int run = 0; run < cuda::test_runs(); ++run) {
        SCOPED_TRACE(testing::Message() << dtype << ' ' << size.rows << 'x' << size.columns);
        cuda::prepare_test_run(run);
        f(dtype, size);
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

TEST(CudaCells, LstmStep) {
  each_step([](DType dtype, const Size& size) {
    Twins t(dtype, size.offset);
    const int64_t inputs = 5;
    const Shape state{size.rows, size.columns};
    const size_t x = t.add({size.rows, inputs}), h = t.add(state), c = t.add(state);
    const size_t w = t.add({inputs + size.columns, 4 * size.columns});
    const size_t input = t.add({size.rows, inputs + size.columns});
    const size_t gates = t.add({size.rows, 4 * size.columns});
    const size_t h_next = t.add(state), c_next = t.add(state);
    const auto step = [&](auto f, std::vector<Tensor>& v) {
      f(v[x], v[h], v[c], v[w], v[input], v[gates], v[h_next], v[c_next]);
    };
    step(cpu::lstm_forward, t.here);
    const uint64_t before = cuda::counters().launches;
    step(cuda::lstm_forward, t.there);
    EXPECT_EQ(cuda::counters().launches - before, size.rows <= 16 ? 1u : 3u);
    t.expect_same({input, gates, h_next, c_next});
  });
}

TEST(CudaCells, JoinedGradients) {
  enum Absent { none, x, s, both };
  each_step([](DType dtype, const Size& size) {
    for (const Absent absent : {none, x, s, both}) {
      Twins t(dtype, size.offset);
      const int64_t inputs = 5, n = 4 * size.columns;
      const size_t dz = t.add({size.rows, n}), w = t.add({inputs + size.columns, n});
      const size_t dx = t.add({size.rows, inputs}), ds = t.add({size.rows, size.columns});
      const auto back = [&](auto f, std::vector<Tensor>& v) {
        f(v[dz], v[w], absent == x || absent == both ? nullptr : &v[dx], Into::write,
          absent == s || absent == both ? nullptr : &v[ds], absent == x ? Into::write : Into::add);
      };
      back(cpu::joined_gradient, t.here);
      back(cuda::joined_gradient, t.there);
      t.expect_same({dx, ds});
    }
  });
}

// Not side by side in one kernel, where they would race: two products.
TEST(CudaCells, JoinedGradientsOfOneTensorAddUp) {
  Twins t(DType::f64, 0);
  const size_t dz = t.add({2, 12}), w = t.add({6, 12}), dx = t.add({2, 3});
  const auto back = [&](auto f, std::vector<Tensor>& v) {
    f(v[dz], v[w], &v[dx], Into::add, &v[dx], Into::add);
  };
  back(cpu::joined_gradient, t.here);
  const uint64_t before = cuda::counters().launches;
  back(cuda::joined_gradient, t.there);
  EXPECT_EQ(cuda::counters().launches - before, 2u);
  t.expect_same({dx});
}

TEST(CudaCells, RefuseOperandsOfTwoDevices) {
  const Var there = Tensor::zeros({2, 3}, DType::f32, Device::cuda), here = Tensor::zeros({2, 3});
  const Var w = Tensor::zeros({3, 6}, DType::f32, Device::cuda);
  EXPECT_EQ(error_of([&] { highway_cell(there, w, Activation::tanh, here.value()); }),
            "highway_cell: mask is on cpu, other operands on cuda; move one with to(device)");
  EXPECT_EQ(error_of([&] { matmul(here, w); }), "matmul: needs one device, got cpu and cuda");
}

// NaN passes through relu and its kink is flat, as on the CPU.
TEST(CudaCells, ReluKeepsNaNAndItsKink) {
  Tensor y = Tensor::from({NAN, 0, -0.0, 1}, {1, 4}).to(Device::cuda);
  cuda::activation_forward(Activation::relu, y);
  EXPECT_TRUE(std::isnan(y.item(0)));
  const Tensor dy = Tensor::full({1, 4}, 1).to(Device::cuda);
  Tensor dz = empty_like(y);
  cuda::activation_backward(Activation::relu, y, dy, dz);
  EXPECT_EQ(dz.to_vector(), (std::vector<double>{1, 0, 0, 1}));
}

}  // namespace
}  // namespace enas::test
