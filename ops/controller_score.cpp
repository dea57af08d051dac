#include "ops/controller_score.h"

#include "ops/controller_score_walk.h"
#include "ops/structure.h"
#include "tensor/blas.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

constexpr const char* kOp = "controller_score";

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

// Of each sample, from the logits that the walk left.
std::vector<double> skip_penalties(const ControllerTrace& trace, const SkipPenalty& penalty) {
  const auto samples = static_cast<size_t>(trace.samples);
  const double* logits = trace.numbers.data<double>();
  std::vector<double> kl(samples);
  for (const ControllerPlan::Step& step : trace.plan.steps) {
    const Decision& d = step.decision;
    for (int64_t j = 0; d.kind == Decision::Kind::skips && j < d.count; ++j) {
      for (size_t s = 0; s < samples; ++s) {
        const double x = logits[static_cast<size_t>(step.logit + j) * samples + s];
        kl[s] += kl_of(Skip(x), x, penalty).first / static_cast<double>(trace.plan.skips);
      }
    }
  }
  return kl;
}

// Row numbers of the anchors that are an input of some sample, -1 for the others; and how many.
struct Inputs {
  std::vector<int64_t> rows;
  int64_t count = 0;
  explicit Inputs(const ControllerTrace& trace) : rows(trace.plan.anchors.size(), -1) {
    for (const ControllerPlan::Step& step : trace.plan.steps) {
      for (int64_t s = 0; step.from_anchors && s < trace.samples; ++s) {
        const int32_t* actions = trace.actions.data() + s * trace.plan.choices;
        trace.plan.each_anchor(step, actions, [&](int64_t anchor, double) {
          int64_t& row = rows[static_cast<size_t>(anchor)];
          if (row < 0) row = count++;
        });
      }
    }
  }
};

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

template <class T>
class Backward {
 public:
  explicit Backward(const ControllerTrace& trace)
      : c_(trace),
        w_(weights_of(trace.weights)),
        state_(trace.state<T>()),
        steps_(static_cast<int64_t>(trace.plan.steps.size())),
        row_(trace.samples * w_.h),
        used_(trace) {
    Pieces<T> measure(nullptr);
    carve(measure);
    space_ = Tensor({measure.taken()}, trace.weights.start.dtype());
    Pieces<T> pieces(space_.data<T>());
    carve(pieces);
    gradients_.inputs = used_.rows;
    w_.outputs = w_.embedding;
    if (!c_.list.op_matrix) return;
    const T* matrix = c_.weights.output.data<T>();
    for (int64_t op = 0; op < w_.ops; ++op)
      for (int64_t k = 0; k < w_.h; ++k) outputs_[op * w_.h + k] = matrix[k * w_.ops + op];
    w_.outputs = outputs_;
  }

  void run(const ScoreUpstream& up, Grads& dx) {
    std::fill_n(zeroed_, zeroes_, T{0});
    parallel_chunks(walk_chunks(c_.samples), [&](int chunk) {
      const int64_t begin = chunk * kWalkRows;
      ScoreWalk<T>(c_, w_, begin, std::min(begin + kWalkRows, c_.samples))
          .backward(gradients_, part(chunk), scratch_ + 2 * begin * w_.h, up);
    });
    for (int chunk = 1; chunk < walk_chunks(c_.samples); ++chunk)
      ScoreKernels<T>::axpy(T{1}, partials_ + chunk * partial_size(), partials_, partial_size());
    weights_back(dx);
  }

 private:
  static ScoreWeights<T> weights_of(const ControllerWeights& w) {
    return {w.start.data<T>(), w.embedding.data<T>(), w.lstm.data<T>(),
            w.key.data<T>(),   w.query.data<T>(),     w.score.data<T>(),
            nullptr,           w.start.numel(),       w.embedding.size(0)};
  }
  int64_t table_rows() const { return 1 + w_.ops; }
  int64_t partial_size() const { return table_rows() * 4 * w_.h + w_.h + w_.ops * w_.h + w_.ops; }
  ScorePartials<T> part(int chunk) const {
    Pieces<T> p(partials_ + chunk * partial_size());
    ScorePartials<T> sums{};
    sums.table = p.take(table_rows() * 4 * w_.h);
    sums.score = p.take(w_.h);
    sums.outputs = p.take(w_.ops * w_.h);
    sums.bias = p.take(w_.ops);
    return sums;
  }

  void carve(Pieces<T>& p) {
    const ControllerPlan& plan = c_.plan;
    gradients_.dz = p.take(steps_ * 4 * row_);
    rows_ = p.take(std::max(
        {plan.keys * row_, plan.queries * row_, used_.count * row_ + table_rows() * w_.h}));
    scratch_ = p.take(2 * row_);
    outputs_ = p.take(w_.ops * w_.h);
    const int64_t before = p.taken();
    // Behind the anchors' rows come those of the table, for one product.
    zeroed_ = gradients_.projected = p.take((used_.count * row_ + table_rows() * w_.h) * 4);
    gradients_.keys = p.take(plan.keys * row_);
    gradients_.queries = p.take(plan.queries * row_);
    partials_ = p.take(walk_chunks(c_.samples) * partial_size());
    table_ = p.take(table_rows() * w_.h);
    zeroes_ = p.taken() - before;
  }

  // The rows of h behind step t, to place i of rows_.
  void gather(int64_t t, int64_t i) {
    if (i >= 0) std::copy_n(state_.h + (t + 1) * row_, row_, rows_ + i * row_);
  }

  // dx: start embedding lstm key query score output bias.
  void weights_back(Grads& dx) {
    const int64_t n = w_.h;
    const ScorePartials<T> sums = part(0);
    if (dx[2].needed()) lstm_back(dx[2], sums);
    const auto projection = [&](Grad& grad, int64_t ControllerPlan::Step::*number, const T* up,
                                int64_t count) {
      if (!grad.needed()) return;
      for (int64_t t = 0; t < steps_; ++t) gather(t, c_.plan.steps[static_cast<size_t>(t)].*number);
      outer(rows_, up, count * c_.samples, n, n, grad.tensor().template data<T>(),
            grad.into() == Into::add);
    };
    projection(dx[3], &ControllerPlan::Step::key, gradients_.keys, c_.plan.keys);
    projection(dx[4], &ControllerPlan::Step::query, gradients_.queries, c_.plan.queries);
    put(dx[5], sums.score, n);
    if (dx[0].needed() || dx[1].needed())
      ScoreKernels<T>::product_back(sums.table, table_rows(), 4 * n, w_.lstm, n, table_);
    put(dx[0], table_, n);
    if (c_.list.op_matrix) {
      for (int64_t k = 0; k < n; ++k)
        for (int64_t op = 0; op < w_.ops; ++op) rows_[k * w_.ops + op] = sums.outputs[op * n + k];
      put(dx[6], rows_, n * w_.ops);
    } else {
      ScoreKernels<T>::axpy(T{1}, sums.outputs, table_ + n, w_.ops * n);
    }
    put(dx[1], table_ + n, w_.ops * n);
    if (!c_.list.start_bias.empty()) put(dx[7], sums.bias, w_.ops);
  }

  void lstm_back(Grad& grad, const ScorePartials<T>& sums) {
    const int64_t n = w_.h, made = used_.count * c_.samples;
    T* dw = grad.tensor().template data<T>();
    const bool add = grad.into() == Into::add;
    for (size_t a = 0; a < used_.rows.size(); ++a) gather(c_.plan.anchors[a].step, used_.rows[a]);
    std::copy_n(w_.start, n, rows_ + made * n);
    std::copy_n(w_.embedding, w_.ops * n, rows_ + (made + 1) * n);
    std::copy_n(sums.table, table_rows() * 4 * n, gradients_.projected + made * 4 * n);
    outer(rows_, gradients_.projected, made + table_rows(), n, 4 * n, dw, add);
    // The first step's h is zero.
    outer(state_.h + row_, gradients_.dz + 4 * row_, (steps_ - 1) * c_.samples, n, 4 * n,
          dw + n * 4 * n, add);
  }

  const ControllerTrace& c_;
  ScoreWeights<T> w_;
  WalkState<T> state_;
  int64_t steps_, row_;
  Inputs used_;
  Tensor space_;
  ScoreGradients<T> gradients_{};
  T *rows_ = nullptr, *scratch_ = nullptr, *outputs_ = nullptr, *zeroed_ = nullptr,
    *partials_ = nullptr, *table_ = nullptr;
  int64_t zeroes_ = 0;
};

void check_actions(const DecisionList& list, const std::vector<int32_t>& actions) {
  const std::vector<int32_t> counts = choice_counts(list);
  check(!actions.empty() && actions.size() % counts.size() == 0, kOp, "architectures have ",
        actions.size(), " choices in all, the policy decides ", counts.size(), " of each");
  for (size_t i = 0; i < actions.size(); ++i) {
    const int32_t candidates = counts[i % counts.size()];
    check(actions[i] >= 0 && actions[i] < candidates, kOp, "choice ", i % counts.size(), " is ",
          actions[i], " of ", candidates, " candidates");
  }
}

// Where no gradient came: zeros.
ScoreUpstream upstream_of(OutputGrads dy, int64_t samples, const SkipPenalty& penalty) {
  ScoreUpstream up;
  up.penalty = penalty;
  std::vector<double>* to[] = {&up.log_prob, &up.entropy, &up.skip_kl};
  for (size_t i = 0; i < 3; ++i) {
    *to[i] =
        dy[i].defined() ? dy[i].to_vector() : std::vector<double>(static_cast<size_t>(samples));
  }
  return up;
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
  const int64_t each = check_controller(kOp, weights, list);
  check(each > 0, kOp, "nothing is decided");
  check_actions(list, choices);
  if (weights.start.device() == Device::cuda)
    return recorded(v, list, choices, static_cast<size_t>(each), want);
  std::shared_ptr<const ControllerTrace> trace = want.trace;
  if (trace == nullptr || !trace->is_of(weights, list, choices)) {
    Rollout given;
    given.samples = static_cast<int64_t>(choices.size()) / each;
    given.decisions = each;
    given.actions = std::move(choices);
    trace = controller_trace(weights, list, nullptr, 0, given);
  }
  const SkipPenalty penalty = want.skip_penalty.value_or(SkipPenalty{});
  const bool skips = want.skip_penalty && trace->plan.skips > 0;
  const auto tensor = [&](const std::vector<double>& values) {
    return Tensor::from(values, {trace->samples}, weights.start.dtype());
  };
  std::vector<Tensor> y = {tensor(trace->log_prob), tensor(trace->entropy),
                           skips ? tensor(skip_penalties(*trace, penalty))
                                 : Tensor({trace->samples}, weights.start.dtype())};
  std::vector<Var> out =
      record(kOp, {v.start, v.embedding, v.lstm, v.key, v.query, v.score, v.output, v.bias},
             std::move(y), [trace, penalty](OutputGrads dy, Grads& dx) {
               visit_real(trace->weights.start.dtype(), kOp, [&](auto tag) {
                 Backward<decltype(tag)>(*trace).run(upstream_of(dy, trace->samples, penalty), dx);
               });
             });
  return {out[0], want.entropy ? out[1] : Var(), skips ? out[2] : Var()};
}

}  // namespace enas
