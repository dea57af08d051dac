#include "ops/controller_score.h"

#include "ops/controller_score_walk.h"
#include "ops/structure.h"
#include "tensor/blas.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

constexpr const char* kOp = "controller_score";
constexpr int64_t kSamplesAChunk = 4;  // as many rows as the products take at once

// Everything of one call that backward needs again.
struct Call {
  ControllerPlan plan = {};
  std::vector<int32_t> actions = {};
  SkipPenalty penalty = {};
  int64_t samples = 0, h = 0, ops = 0;
  bool own_outputs = false, bias = false;
  Tensor kept = {}, numbers = {};  // rows of the weights' dtype; logits and slopes in double

  int64_t steps() const { return static_cast<int64_t>(plan.steps.size()); }
};

// The values of a tensor that others share.
template <class T>
T* values_of(Tensor t) {
  return t.data<T>();
}

// Hands out consecutive pieces of one tensor; from null it only counts.
template <class T>
class Pieces {
 public:
  explicit Pieces(T* first) : first_(first) {}
  T* take(int64_t n) {
    T* piece = first_ != nullptr ? first_ + taken_ : nullptr;
    taken_ += n;
    return piece;
  }
  int64_t taken() const { return taken_; }

 private:
  T* first_;
  int64_t taken_ = 0;
};

template <class T>
struct Kept {
  ScoreState<T> state;
  T *table, *outputs;
};
template <class T>
Kept<T> pieces_of(const Call& c, Pieces<T>& p, Pieces<double> numbers) {
  const int64_t row = c.samples * c.h, table = (1 + c.ops) * 4 * c.h;
  Kept<T> kept;
  kept.state.samples = c.samples;
  kept.state.h = p.take((c.steps() + 1) * row);
  kept.state.c = p.take((c.steps() + 1) * row);
  kept.state.gates = p.take(c.steps() * 4 * row);
  kept.state.inputs = p.take(c.plan.inputs * row);
  kept.state.keys = p.take(c.plan.keys * row);
  kept.state.attended = p.take(c.plan.attended * row);
  kept.table = p.take(table);
  kept.outputs = p.take(c.ops * c.h);
  kept.state.logits = numbers.take(c.plan.logits * c.samples);
  kept.state.slopes = numbers.take(c.plan.logits * c.samples);
  return kept;
}

template <class T>
Kept<T> kept_of(const Call& c) {
  Pieces<T> pieces(values_of<T>(c.kept));
  return pieces_of(c, pieces, Pieces<double>(values_of<double>(c.numbers)));
}

template <class T>
ScoreWeights<T> weights_of(const ControllerWeights& w) {
  const auto data = [](const Tensor& t) { return t.defined() ? t.data<T>() : nullptr; };
  return {data(w.start), data(w.embedding), data(w.lstm), data(w.key),     data(w.query),
          data(w.score), data(w.output),    data(w.bias), w.start.numel(), w.embedding.size(0)};
}

template <class F>
void each_chunk(int64_t samples, F f) {
  const auto chunks = static_cast<int>((samples + kSamplesAChunk - 1) / kSamplesAChunk);
  parallel_chunks(chunks, [&](int chunk) {
    const int64_t begin = chunk * kSamplesAChunk;
    f(chunk, begin, std::min(begin + kSamplesAChunk, samples));
  });
}

template <class T>
void forward(const ControllerWeights& weights, Call& c, Tensor& log_prob, Tensor& entropy,
             Tensor& skip_kl) {
  using K = ScoreKernels<T>;
  Pieces<T> measure(nullptr);
  pieces_of(c, measure, Pieces<double>(nullptr));
  c.kept = Tensor({measure.taken()}, weights.start.dtype());
  c.numbers = Tensor({2 * c.plan.logits * c.samples}, DType::f64);
  const ScoreWeights<T> w = weights_of<T>(weights);
  const Kept<T> kept = kept_of<T>(c);
  const int64_t row = c.samples * c.h;
  std::fill_n(kept.state.h, row, T{0});
  std::fill_n(kept.state.c, row, T{0});
  std::fill_n(kept.table, (1 + c.ops) * 4 * c.h, T{0});
  K::product(w.start, 1, c.h, w.lstm, 4 * c.h, kept.table);
  K::product(w.embedding, c.ops, c.h, w.lstm, 4 * c.h, kept.table + 4 * c.h);
  for (int64_t op = 0; op < c.ops; ++op)
    for (int64_t k = 0; k < c.h; ++k)
      kept.outputs[op * c.h + k] =
          c.own_outputs ? w.output[k * c.ops + op] : w.embedding[op * c.h + k];
  const Tensor scratch({row}, weights.start.dtype()), sums({3, c.samples}, DType::f64);
  double* totals = values_of<double>(sums);
  std::fill_n(totals, 3 * c.samples, 0.0);
  each_chunk(c.samples, [&](int, int64_t begin, int64_t end) {
    ScoreWalk<T> walk(c.plan, w, kept.table, kept.outputs, kept.state, c.actions.data(), begin,
                      end);
    walk.forward(values_of<T>(scratch) + begin * c.h, totals, totals + c.samples,
                 totals + 2 * c.samples, c.penalty);
  });
  Tensor* outputs[] = {&log_prob, &entropy, &skip_kl};
  for (Tensor* y : outputs)
    for (int64_t s = 0; s < c.samples; ++s) y->data<T>()[s] = static_cast<T>(*totals++);
}

// dw (+)= a^T b, a [rows, m], b [rows, n].
template <class T>
void outer(const T* a, const T* b, int64_t rows, int64_t m, int64_t n, T* dw, bool add) {
  if (rows > 0) return gemm<T>(true, false, m, n, rows, a, m, b, n, add ? T{1} : T{0}, dw, n);
  if (!add) std::fill_n(dw, m * n, T{0});
}

template <class T>
void put(Grad& grad, const T* values, int64_t n) {
  if (!grad.needed()) return;
  T* to = grad.tensor().data<T>();
  if (grad.into() == Into::write) std::fill_n(to, n, T{0});
  ScoreKernels<T>::axpy(T{1}, values, to, n);
}

// The rows of h behind the steps that `number` gives a row in [count, S, h], in its order.
template <class T>
void gather_h(const Call& c, const ScoreState<T>& state, int64_t ControllerPlan::Step::*number,
              T* rows) {
  const int64_t size = c.samples * c.h;
  for (int64_t t = 0; t < c.steps(); ++t) {
    const int64_t i = c.plan.steps[static_cast<size_t>(t)].*number;
    if (i >= 0) std::copy_n(state.h + (t + 1) * size, size, rows + i * size);
  }
}

template <class T>
class Backward {
 public:
  Backward(const ControllerWeights& weights, const Call& c)
      : c_(c), w_(weights_of<T>(weights)), kept_(kept_of<T>(c)), row_(c.samples * c.h) {
    Pieces<T> measure(nullptr);
    carve(measure);
    space_ = Tensor({measure.taken()}, weights.start.dtype());
    Pieces<T> pieces(space_.data<T>());
    carve(pieces);
  }

  void run(OutputGrads dy, Grads& dx) {
    std::fill_n(zeroed_, zeroes_, T{0});
    std::vector<double> up[3];
    for (size_t i = 0; i < 3; ++i) {
      up[i].assign(static_cast<size_t>(c_.samples), 0);
      for (size_t s = 0; dy[i].defined() && s < up[i].size(); ++s)
        up[i][s] = static_cast<double>(dy[i].data<T>()[s]);
    }
    each_chunk(c_.samples, [&](int chunk, int64_t begin, int64_t end) {
      ScoreWalk<T> walk(c_.plan, w_, kept_.table, kept_.outputs, kept_.state, c_.actions.data(),
                        begin, end);
      walk.backward(gradients_, part(chunk), scratch_ + 3 * begin * c_.h, up[0], up[1], up[2],
                    c_.penalty);
    });
    for (int chunk = 1; chunk < chunks(); ++chunk)
      ScoreKernels<T>::axpy(T{1}, partials_ + chunk * partial_size(), partials_, partial_size());
    weights_back(dx);
  }

 private:
  int chunks() const {
    return static_cast<int>((c_.samples + kSamplesAChunk - 1) / kSamplesAChunk);
  }
  int64_t partial_size() const { return (1 + c_.ops) * 4 * c_.h + c_.h + c_.ops * c_.h + c_.ops; }
  ScorePartials<T> part(int chunk) const {
    Pieces<T> p(partials_ + chunk * partial_size());
    ScorePartials<T> sums{};
    sums.table = p.take((1 + c_.ops) * 4 * c_.h);
    sums.score = p.take(c_.h);
    sums.outputs = p.take(c_.ops * c_.h);
    sums.bias = p.take(c_.ops);
    return sums;
  }

  void carve(Pieces<T>& p) {
    gradients_.dz = p.take(c_.steps() * 4 * row_);
    // Behind the inputs made of anchors come the rows of the table, for one product.
    inputs_ = p.take(c_.plan.inputs * row_ + (1 + c_.ops) * c_.h);
    gradients_.dz_input = p.take(c_.plan.inputs * 4 * row_ + (1 + c_.ops) * 4 * c_.h);
    rows_ = p.take(std::max(c_.plan.keys, c_.plan.queries) * row_);
    scratch_ = p.take(3 * row_);
    const int64_t before = p.taken();
    zeroed_ = gradients_.anchors = p.take(static_cast<int64_t>(c_.plan.anchors.size()) * row_);
    gradients_.keys = p.take(c_.plan.keys * row_);
    gradients_.queries = p.take(c_.plan.queries * row_);
    partials_ = p.take(chunks() * partial_size());
    table_ = p.take((1 + c_.ops) * c_.h);
    zeroes_ = p.taken() - before;
  }

  // dx: start embedding lstm key query score output bias.
  void weights_back(Grads& dx) {
    const int64_t n = c_.h;
    const ScorePartials<T> sums = part(0);
    if (dx[2].needed()) lstm_back(dx[2], sums);
    const auto projection = [&](Grad& grad, int64_t ControllerPlan::Step::*number, const T* up,
                                int64_t count) {
      if (!grad.needed()) return;
      gather_h(c_, kept_.state, number, rows_);
      outer(rows_, up, count * c_.samples, n, n, grad.tensor().template data<T>(),
            grad.into() == Into::add);
    };
    projection(dx[3], &ControllerPlan::Step::key, gradients_.keys, c_.plan.keys);
    projection(dx[4], &ControllerPlan::Step::query, gradients_.queries, c_.plan.queries);
    put(dx[5], sums.score, n);
    if (dx[0].needed() || dx[1].needed())
      ScoreKernels<T>::product_back(sums.table, 1 + c_.ops, 4 * n, w_.lstm, n, table_);
    put(dx[0], table_, n);
    if (c_.own_outputs) {
      for (int64_t k = 0; k < n; ++k)
        for (int64_t op = 0; op < c_.ops; ++op)
          rows_output()[k * c_.ops + op] = sums.outputs[op * n + k];
      put(dx[6], rows_output(), n * c_.ops);
    } else {
      ScoreKernels<T>::axpy(T{1}, sums.outputs, table_ + n, c_.ops * n);
    }
    put(dx[1], table_ + n, c_.ops * n);
    if (c_.bias) put(dx[7], sums.bias, c_.ops);
  }
  T* rows_output() const { return inputs_; }  // free by then

  void lstm_back(Grad& grad, const ScorePartials<T>& sums) {
    const int64_t n = c_.h, made = c_.plan.inputs * c_.samples, table = 1 + c_.ops;
    T* dw = grad.tensor().template data<T>();
    const bool add = grad.into() == Into::add;
    std::copy_n(kept_.state.inputs, made * n, inputs_);
    std::copy_n(w_.start, n, inputs_ + made * n);
    std::copy_n(w_.embedding, c_.ops * n, inputs_ + (made + 1) * n);
    std::copy_n(sums.table, table * 4 * n, gradients_.dz_input + made * 4 * n);
    outer(inputs_, gradients_.dz_input, made + table, n, 4 * n, dw, add);
    // The first step's h is zero.
    outer(kept_.state.h + row_, gradients_.dz + 4 * row_, (c_.steps() - 1) * c_.samples, n, 4 * n,
          dw + n * 4 * n, add);
  }

  const Call& c_;
  ScoreWeights<T> w_;
  Kept<T> kept_;
  int64_t row_;
  Tensor space_;
  ScoreGradients<T> gradients_{};
  T *inputs_ = nullptr, *rows_ = nullptr, *scratch_ = nullptr, *zeroed_ = nullptr,
    *partials_ = nullptr, *table_ = nullptr;
  int64_t zeroes_ = 0;
};

void check_actions(const Call& c, const DecisionList& list) {
  const std::vector<int32_t> counts = choice_counts(list);
  check(c.samples >= 1 && c.actions.size() == static_cast<size_t>(c.samples) * counts.size(), kOp,
        "architectures have ", c.actions.size(), " choices in all, the policy decides ",
        counts.size(), " of each");
  for (size_t i = 0; i < c.actions.size(); ++i) {
    const int32_t candidates = counts[i % counts.size()];
    check(c.actions[i] >= 0 && c.actions[i] < candidates, kOp, "choice ", i % counts.size(), " is ",
          c.actions[i], " of ", candidates, " candidates");
  }
}

// On a GPU: sample by sample.
ControllerScores recorded(const ControllerVars& weights, const DecisionList& list,
                          std::span<const int32_t> choices, size_t each, const ScoreOptions& want) {
  std::vector<Var> log_probs, entropies, penalties;
  const auto add_to = [](std::vector<Var>& parts, const Var& scalar) {
    if (scalar.value().defined()) parts.push_back(reshape(scalar, {1}));
  };
  for (size_t at = 0; at < choices.size(); at += each) {
    const ControllerScores one = controller_record(weights, list, choices.subspan(at, each), want);
    add_to(log_probs, one.log_prob);
    add_to(entropies, one.entropy);
    add_to(penalties, one.skip_kl);
  }
  const auto joined = [](const std::vector<Var>& parts) {
    return parts.empty() ? Var() : concat_rows(parts);
  };
  return {joined(log_probs), joined(entropies), joined(penalties)};
}

}  // namespace

ControllerScores controller_score(const ControllerVars& v, const DecisionList& list,
                                  std::vector<int32_t> choices, const ScoreOptions& want) {
  const ControllerWeights weights{v.start.value(),  v.embedding.value(), v.lstm.value(),
                                  v.key.value(),    v.query.value(),     v.score.value(),
                                  v.output.value(), v.bias.value()};
  Call call;
  const int64_t each = check_controller(kOp, weights, list);
  check(each > 0, kOp, "nothing is decided");
  call.samples = static_cast<int64_t>(choices.size()) / each;
  call.actions = std::move(choices);
  check_actions(call, list);
  if (weights.start.device() == Device::cuda)
    return recorded(v, list, call.actions, static_cast<size_t>(each), want);
  call.plan = ControllerPlan(list);
  call.penalty = want.skip_penalty.value_or(SkipPenalty{});
  call.h = weights.start.numel();
  call.ops = weights.embedding.size(0);
  call.own_outputs = list.op_matrix;
  call.bias = !list.start_bias.empty();
  const bool skips = want.skip_penalty && call.plan.skips > 0;
  std::vector<Tensor> y;
  for (int i = 0; i < 3; ++i) y.emplace_back(Shape{call.samples}, weights.start.dtype());
  visit_real(weights.start.dtype(), kOp,
             [&](auto tag) { forward<decltype(tag)>(weights, call, y[0], y[1], y[2]); });
  std::vector<Var> out =
      record(kOp, {v.start, v.embedding, v.lstm, v.key, v.query, v.score, v.output, v.bias},
             std::move(y), [weights, call = std::move(call)](OutputGrads dy, Grads& dx) {
               visit_real(weights.start.dtype(), kOp,
                          [&](auto tag) { Backward<decltype(tag)>(weights, call).run(dy, dx); });
             });
  return {out[0], want.entropy ? out[1] : Var(), skips ? out[2] : Var()};
}

}  // namespace enas
