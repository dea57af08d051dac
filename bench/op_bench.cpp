// Every op case marked .bench, forward and backward alone, as rows op/shape/pass in f32; rates from
// the case's FLOP and byte counts (backward counts twice the forward).
//   build/op_bench [--threads N] [--device cpu|cuda] --benchmark_filter=softmax
//   --benchmark_format=json
// On a GPU a row is the time of one pass among many queued together: launches overlap, as in a
// step.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "bench/device.h"
#include "ops/controller_rollout.h"
#include "ops/embedding.h"
#include "ops/pointwise.h"
#include "ops/softmax_cross_entropy.h"
#include "tensor/dispatch.h"
#include "tensor/thread_pool.h"
#include "tests/op_cases.h"

namespace enas::test {
namespace {

Device device = Device::cpu;  // --device

std::vector<Tensor> inputs_of(const OpCase& c) {
  return as_device(as_dtype(draw_inputs(c, 0), DType::f32), device);
}

// Passes between two waits for the device; on the CPU each pass is timed by itself.
int passes() { return device == Device::cuda ? 16 : 1; }
void wait_for(const Tensor& last) {
  if (device == Device::cuda) last.reshape({last.numel()}).slice(0, 1).item();
}

// Seconds a pass of `run`, which returns a tensor of the work's end.
template <class Run>
double time_of(Run&& run) {
  const auto start = std::chrono::steady_clock::now();
  Tensor last;
  for (int pass = 0; pass < passes(); ++pass) last = run(pass);
  wait_for(last);
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  return time.count() / passes();
}

void report(benchmark::State& state, const OpCase& c, double passes) {
  using benchmark::Counter;
  const auto rate = Counter::kIsIterationInvariantRate;
  if (c.flops > 0) state.counters["flops"] = Counter(passes * c.flops, rate);
  if (c.bytes > 0) {
    state.counters["bytes"] = Counter(passes * c.bytes, rate, Counter::OneK::kIs1024);
  }
}

void forward(benchmark::State& state, const OpCase& c) {
  const std::vector<Tensor> inputs = inputs_of(c);
  const std::vector<Var> constants(inputs.begin(), inputs.end());
  Tape tape;
  const auto pass = [&](int) { return c.op(tape, constants)[0].value(); };
  time_of(pass);
  for (auto _ : state) state.SetIterationTime(time_of(pass));
  report(state, c, 1);
}

// A scalar whose gradient towards each output is given: costs nothing in backward.
Var seed(const std::vector<Var>& outputs, const std::vector<Tensor>& gradients) {
  const std::vector<Input> inputs(outputs.begin(), outputs.end());
  return record("seed", std::span<const Input>(inputs), Tensor::full({}, 0, DType::f32, device),
                [&gradients](const Tensor&, Grads& dx) {
                  for (size_t k = 0; k < dx.size(); ++k) {
                    if (dx[k].needed()) dx[k].accept(gradients[k]);
                  }
                });
}

// Records the case on `tape`; what backward starts from.
Var record_case(const OpCase& c, const std::vector<Tensor>& inputs, Tape& tape,
                std::vector<Tensor>& gradients) {
  tape.clear();
  std::vector<Var> vars;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const bool differentiable = c.inputs[i].grad && is_floating(inputs[i].dtype());
    vars.push_back(differentiable ? tape.variable(inputs[i]) : Var(inputs[i]));
  }
  const std::vector<Var> outputs = c.op(tape, vars);
  for (size_t k = gradients.size(); k < outputs.size(); ++k) {
    const Tensor& y = outputs[k].value();
    gradients.push_back(Tensor::full(y.shape(), 0.5 + static_cast<double>(k), y.dtype(), device));
  }
  return seed(outputs, gradients);  // the outputs die here, as in a model with their last reader
}

void backward(benchmark::State& state, const OpCase& c) {
  const std::vector<Tensor> inputs = inputs_of(c);
  std::vector<Tensor> gradients;
  std::vector<Tape> tapes(static_cast<size_t>(passes()));
  std::vector<Var> losses(tapes.size());
  for (auto _ : state) {
    for (size_t k = 0; k < tapes.size(); ++k) {
      losses[k] = record_case(c, inputs, tapes[k], gradients);
    }
    wait_for(gradients[0]);
    state.SetIterationTime(time_of([&](int pass) {
      const auto k = static_cast<size_t>(pass);
      tapes[k].backward(losses[k]);
      return gradients[0];
    }));
  }
  report(state, c, 2);
}

// The one op without tensors in and out: architectures of 8 nodes sampled from an LSTM of 64 units.
void rollout(benchmark::State& state) {
  constexpr int64_t kHidden = 64, kSamples = 10;
  const auto weights = [](const Shape& shape) {
    OpCase c;
    c.inputs = {in(shape, -0.1, 0.1)};
    return inputs_of(c)[0];
  };
  const ControllerWeights policy{
      weights({1, kHidden}),       weights({4, kHidden}),       weights({2 * kHidden, 4 * kHidden}),
      weights({kHidden, kHidden}), weights({kHidden, kHidden}), weights({kHidden, 1})};
  DecisionList list;
  list.zero_anchors = 1;
  for (int32_t node = 1; node <= 8; ++node) {
    Decision index{.kind = Decision::Kind::index, .count = node, .leaves_anchor = true};
    index.input = node == 1 ? Decision::From::start : Decision::From::embedding;
    list.steps.push_back(index);
    list.steps.push_back({.kind = Decision::Kind::op, .count = 4, .input = Decision::From::anchor});
  }
  int64_t first = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(controller_rollout(policy, list, kSamples, Random{}, first));
    first += kSamples;
  }
}

// The gradient of a table that the decoder shares, as a training step makes it: rows are added to
// the decoder's part, so that only those of the indices are touched.
void tied_embedding(benchmark::State& state) {
  constexpr int64_t kRows = 10000, kWidth = 1000, kIndices = 2240;
  OpCase c;
  c.inputs = {in({kRows, kWidth}), in({kIndices, kWidth}), indices({kIndices}, kRows)};
  c.bytes = 3 * 4 * kIndices * kWidth;
  std::vector<Tensor> inputs = inputs_of(c);
  const auto pass = [&](int) {
    dispatch<cpu::embedding_backward, cuda::embedding_backward>(inputs[2], inputs[1], inputs[0],
                                                                Into::add);
    return inputs[0];
  };
  time_of(pass);
  for (auto _ : state) state.SetIterationTime(time_of(pass));
  report(state, c, 1);
}

// Loss and gradient of logits that are handed over, as every network does it. A producer that is
// not timed copies them anew for each pass and takes their gradient as it is: what is timed starts
// with the finished logits and ends with that gradient.
void handed_logits(benchmark::State& state) {
  constexpr int64_t kRows = 2240, kWidth = 10000;
  OpCase c;
  c.inputs = {in({kRows, kWidth}, -4, 4), indices({kRows}, kWidth)};
  c.flops = 8.0 * kRows * kWidth, c.bytes = 2.0 * 4 * kRows * kWidth;
  const std::vector<Tensor> inputs = inputs_of(c);
  std::vector<Tape> tapes(static_cast<size_t>(passes()));
  std::vector<Var> logits(tapes.size());
  for (auto _ : state) {
    for (size_t k = 0; k < tapes.size(); ++k) {
      tapes[k].clear();
      logits[k] = record("logits", {tapes[k].variable(inputs[0])}, add_scalar(inputs[0], 0).value(),
                         [](const Tensor& dy, Grads& dx) { dx[0].accept(dy); });
    }
    wait_for(inputs[0]);
    state.SetIterationTime(time_of([&](int pass) {
      const auto k = static_cast<size_t>(pass);
      const Var loss = softmax_cross_entropy(std::move(logits[k]), inputs[1]);
      tapes[k].backward(loss);
      return loss.value();
    }));
  }
  report(state, c, 1);
}

int exit_code = 0;  // of the first row that failed

// A row that fails says so; the others run.
template <auto pass, class... Args>
void row(benchmark::State& state, const Args&... args) {
  try {
    pass(state, args...);
  } catch (const Error& error) {
    if (exit_code == 0) exit_code = error.exit_code();
    state.SkipWithError(error.what());
  }
}

void register_rows() {
  benchmark::RegisterBenchmark("controller_rollout/10x8_nodes_h64/forward", row<rollout>)
      ->UseRealTime();
  benchmark::RegisterBenchmark("embedding/10000x1000_n2240_tied/backward", row<tied_embedding>)
      ->UseManualTime();
  benchmark::RegisterBenchmark("softmax_cross_entropy/2240x10000_in_place/both", row<handed_logits>)
      ->UseManualTime();
  for (const OpFamily& family : op_families()) {
    for (const OpCase& c : family.cases) {
      if (!c.bench) continue;
      const std::string name = family.name + "/" + c.label;
      benchmark::RegisterBenchmark((name + "/forward").c_str(), row<forward, OpCase>, c)
          ->UseManualTime();
      if (c.gradient) {
        benchmark::RegisterBenchmark((name + "/backward").c_str(), row<backward, OpCase>, c)
            ->UseManualTime();
      }
    }
  }
}

// Prints rows as op/shape/pass: without the library's suffix for the kind of clock, which is real
// time in all of them.
class PlainNames : public benchmark::BenchmarkReporter {
 public:
  explicit PlainNames(BenchmarkReporter* inner) : inner_(inner) {}
  bool ReportContext(const Context& context) override {
    inner_->SetOutputStream(&GetOutputStream());
    return inner_->ReportContext(context);
  }
  void ReportRuns(const std::vector<Run>& rows) override {
    std::vector<Run> plain = rows;
    for (Run& row : plain) row.run_name.time_type.clear();
    inner_->ReportRuns(plain);
  }
  void Finalize() override { inner_->Finalize(); }

 private:
  std::unique_ptr<BenchmarkReporter> inner_;
};

bool writes_file(int argc, char** argv) {
  return std::any_of(argv, argv + argc, [](const char* text) {
    return std::strncmp(text, "--benchmark_out=", 16) == 0;
  });
}

// Takes `--threads N` and `--device NAME` out of the arguments.
void take_options(int& argc, char** argv) {
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--threads") == 0 && i + 1 < argc) {
      char* end = nullptr;
      const long threads = std::strtol(argv[++i], &end, 10);
      check(*argv[i] != '\0' && *end == '\0' && threads >= 0 && threads <= 256, ErrorKind::usage,
            "--threads", "expects 0 to 256, got ", argv[i]);
      set_thread_count(static_cast<int>(threads));
    } else if (std::strcmp(argv[i], "--device") == 0 && i + 1 < argc) {
      device = bench::device_named(argv[++i], "op_bench");
    } else {
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
}

}  // namespace
}  // namespace enas::test

int main(int argc, char** argv) {
  try {
    enas::test::take_options(argc, argv);
    benchmark::AddCustomContext("threads", std::to_string(enas::thread_count()));
    benchmark::AddCustomContext("device",
                                enas::test::device == enas::Device::cuda ? "cuda" : "cpu");
    enas::test::register_rows();
    const bool to_file = enas::test::writes_file(argc, argv);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    enas::test::PlainNames display(benchmark::CreateDefaultDisplayReporter());
    enas::test::PlainNames file(new benchmark::JSONReporter);
    benchmark::RunSpecifiedBenchmarks(&display, to_file ? &file : nullptr);
    benchmark::Shutdown();
    return enas::test::exit_code;
  } catch (const enas::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.exit_code();
  }
}
