// What recording costs: ops on 4 elements, whose arithmetic is nothing, forward and backward, as
// time per op (counter per_op, seconds in JSON). Runs on one thread.
//   build/tape_bench --benchmark_filter=chain --benchmark_format=json
#include <benchmark/benchmark.h>

#include "autograd/tape.h"
#include "ops/pointwise.h"

namespace enas {
namespace {

// y = x + w, without shape checks: the bookkeeping is what is measured.
Var add4(const Var& x, const Var& w) {
  Tensor y = empty_like(x.value());
  const float *a = x.value().data<float>(), *b = w.value().data<float>();
  float* out = y.data<float>();
  for (int i = 0; i < 4; ++i) out[i] = a[i] + b[i];
  return record("add4", {x, w}, std::move(y), [](const Tensor& dy, Grads& dx) {
    for (size_t k = 0; k < 2; ++k) {
      if (dx[k].needed()) dx[k].accept(dy);
    }
  });
}

// y = x * x: saves its input and writes a gradient tensor.
Var square4(const Var& x) {
  Tensor y = empty_like(x.value());
  const float* a = x.value().data<float>();
  float* out = y.data<float>();
  for (int i = 0; i < 4; ++i) out[i] = a[i] * a[i];
  return record("square4", {x}, std::move(y), [saved = x.value()](const Tensor& dy, Grads& dx) {
    const float *in = saved.data<float>(), *up = dy.data<float>();
    const bool add = dx[0].into() == Into::add;
    float* down = dx[0].tensor().data<float>();
    for (int i = 0; i < 4; ++i) down[i] = (add ? down[i] : 0) + 2 * in[i] * up[i];
  });
}

constexpr int kOps = 1000;

void report(benchmark::State& state) {
  using benchmark::Counter;
  state.counters["per_op"] = Counter(kOps, Counter::kIsIterationInvariantRate | Counter::kInvert);
}

// A chain of 1000 ops, each reading the one before.
template <class Op>
void chain(benchmark::State& state, const Op& op) {
  Tape tape;
  const Tensor start = Tensor::full({4}, 0.5);
  for (auto _ : state) {
    tape.clear();
    const Var x = tape.variable(start);
    Var y = x;
    for (int i = 0; i < kOps; ++i) y = op(y);
    tape.backward(y);
    benchmark::DoNotOptimize(tape.gradient(x).raw());
  }
  report(state);
}

void chain_square4(benchmark::State& state) { chain(state, square4); }
BENCHMARK(chain_square4);

// The real ops, with their checks and dispatch.
void chain_tanh(benchmark::State& state) { chain(state, tanh); }
BENCHMARK(chain_tanh);
void chain_mul_constant(benchmark::State& state) {
  const Var w = Tensor::full({4}, 1.01);
  chain(state, [&](const Var& x) { return mul(x, w); });
}
BENCHMARK(chain_mul_constant);
void chain_add_itself(benchmark::State& state) {
  chain(state, [](const Var& x) { return add(x, x); });
}
BENCHMARK(chain_add_itself);

void chain_add4_parameter(benchmark::State& state) {
  Tape tape;
  Parameter p;
  p.value = Tensor::full({4}, 0.25);
  for (auto _ : state) {
    tape.clear();
    Var y = tape.use(p);
    for (int i = 0; i < kOps; ++i) y = add4(y, tape.use(p));
    tape.backward(y);
    benchmark::DoNotOptimize(p.grad.raw());
  }
  report(state);
}
BENCHMARK(chain_add4_parameter);

// The same ops without a tape: what the tensors themselves cost.
void forward_only_square4(benchmark::State& state) {
  const Var x = Tensor::full({4}, 0.5);
  for (auto _ : state) {
    Var y = x;
    for (int i = 0; i < kOps; ++i) y = square4(y);
    benchmark::DoNotOptimize(y.value().raw());
  }
  report(state);
}
BENCHMARK(forward_only_square4);

}  // namespace
}  // namespace enas

BENCHMARK_MAIN();
