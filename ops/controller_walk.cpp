#include "ops/controller_walk.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "ops/sample.h"
#include "tensor/isa.h"
#include "tensor/thread_pool.h"

namespace enas {

ISA_SELECT(walk_product, void(const double* x, int64_t rows, int64_t n, const float* w,
                              int64_t columns, const double* from, double* y));
ISA_SELECT(walk_product_f64, void(const double* x, int64_t rows, int64_t n, const double* w,
                                  int64_t columns, const double* from, double* y));
ISA_SELECT(walk_gates, void(const double* z, const double* c, double* h_next, double* c_next,
                            int64_t n, float* kept_gates, float* kept_h, float* kept_c));
ISA_SELECT(walk_gates_f64, void(const double* z, const double* c, double* h_next, double* c_next,
                                int64_t n, double* kept_gates, double* kept_h, double* kept_c));
ISA_SELECT(walk_attention,
           double(const double* key, const double* query, const double* v, int64_t n, float* kept));
ISA_SELECT(walk_attention_f64, double(const double* key, const double* query, const double* v,
                                      int64_t n, double* kept));
ISA_SELECT(walk_dot, double(const double* a, const double* b, int64_t n));
ISA_SELECT(walk_axpy, void(double a, const double* x, double* y, int64_t n));
ISA_SELECT(walk_bound, void(const double* products, int64_t n, double temperature, double constant,
                            double* values, double* slopes));

namespace {

using Kind = Decision::Kind;

template <class T>
struct WalkKernels;
template <>
struct WalkKernels<float> {
  static constexpr auto& product = walk_product;
  static constexpr auto& gates = walk_gates;
  static constexpr auto& attention = walk_attention;
};
template <>
struct WalkKernels<double> {
  static constexpr auto& product = walk_product_f64;
  static constexpr auto& gates = walk_gates_f64;
  static constexpr auto& attention = walk_attention_f64;
};

// The weights: matrices as they are, rows in double.
template <class T>
struct Policy {
  int64_t h, ops;
  const T *upper, *lower;  // of the LSTM's weight: the parts of x and of h
  const T *key, *query;
  std::vector<double> score, outputs, bias;  // outputs [ops, h]: op decisions multiply h by them
  std::vector<double> table;                 // [1 + ops, 4h] start and embedding behind `upper`

  explicit Policy(const ControllerWeights& w)
      : h(w.start.numel()),
        ops(w.embedding.size(0)),
        upper(w.lstm.data<T>()),
        lower(upper + h * 4 * h),
        key(w.key.data<T>()),
        query(w.query.data<T>()),
        score(w.score.to_vector()),
        outputs(w.embedding.to_vector()),
        table(static_cast<size_t>((1 + ops) * 4 * h)) {
    std::vector<double> rows = w.start.to_vector();
    rows.insert(rows.end(), outputs.begin(), outputs.end());
    WalkKernels<T>::product(rows.data(), 1 + ops, h, upper, 4 * h, nullptr, table.data());
    if (w.bias.defined()) bias = w.bias.to_vector();
    if (!w.output.defined()) return;
    const T* matrix = w.output.data<T>();
    for (int64_t op = 0; op < ops; ++op) {
      for (int64_t k = 0; k < h; ++k)
        outputs[static_cast<size_t>(op * h + k)] = static_cast<double>(matrix[k * ops + op]);
    }
  }
};

// Consecutive pieces of one array.
class Pieces {
 public:
  explicit Pieces(double* next) : next_(next) {}
  double* take(int64_t n) {
    next_ += n;
    return next_ - n;
  }

 private:
  double* next_;
};

// Samples [begin, end) of `out`. Arrays hold a row a sample for each of their numbers.
template <class T>
class Walk {
  using K = WalkKernels<T>;

 public:
  Walk(const ControllerPlan& plan, const Policy<T>& policy, const WalkState<T>* kept, Rollout& out,
       int64_t begin, int64_t end)
      : plan_(plan),
        p_(policy),
        kept_(kept),
        out_(out),
        begin_(begin),
        rows_(end - begin),
        anchors_count_(static_cast<int64_t>(plan.anchors.size())),
        made_(static_cast<size_t>(anchors_count_ * rows_)) {
    const int64_t row = rows_ * p_.h;
    int64_t most = 1;
    for (const ControllerPlan::Step& step : plan.steps)
      most = std::max<int64_t>(most, step.decision.count);
    numbers_ = Tensor({(12 + 5 * anchors_count_ + plan.keys) * row + 3 * most}, DType::f64);
    Pieces pieces(numbers_.data<double>());
    for (int i = 0; i < 2; ++i) c_[i] = pieces.take(row);
    h_ = pieces.take(row);
    z_ = pieces.take(4 * row);
    from_ = pieces.take(4 * row);
    query_ = gathered_ = pieces.take(row);
    behind_ = z_;  // the products of `gathered`
    anchors_ = pieces.take(anchors_count_ * row);
    projected_ = pieces.take(4 * anchors_count_ * row);
    keys_ = pieces.take(plan.keys * row);
    products_ = pieces.take(most);
    values_ = pieces.take(most);
    slopes_ = pieces.take(most);
    std::fill_n(c_[0], row, 0.0);
  }

  void run(const Random* random, int64_t first_sample) {
    for (size_t t = 0; t < plan_.steps.size(); ++t) {
      const ControllerPlan::Step& step = plan_.steps[t];
      move(step, t);
      if (step.query >= 0) K::product(h_, rows_, p_.h, p_.query, p_.h, nullptr, query_);
      for (int64_t r = 0; r < rows_ && step.decision.kind != Kind::advance; ++r) {
        step.decision.kind == Kind::op ? op_products(step, r) : attend(step, r);
        bound(step, r);
        for (int64_t i = 0; i < choices_of(step.decision); ++i)
          choose(step, r, i, random, first_sample);
      }
      if (step.anchor >= 0) std::copy_n(h_, rows_ * p_.h, row(anchors_, step.anchor, p_.h));
      if (step.key >= 0)
        K::product(h_, rows_, p_.h, p_.key, p_.h, nullptr, row(keys_, step.key, p_.h));
    }
  }

 private:
  double* row(double* array, int64_t i, int64_t width) const { return array + i * rows_ * width; }
  int32_t* actions(int64_t r) const { return out_.actions.data() + (begin_ + r) * plan_.choices; }
  // Row r under number i of an array that is kept.
  template <class P>
  P* kept_row(P* array, int64_t i, int64_t r, int64_t width) const {
    return array + (i * out_.samples + begin_ + r) * width;
  }

  // One step of the LSTM.
  void move(const ControllerPlan::Step& step, size_t t) {
    const int64_t n = p_.h;
    make_input(step);
    const double* z = from_;
    if (t > 0) {  // else h is zero
      K::product(h_, rows_, n, p_.lower, 4 * n, from_, z_);
      z = z_;
    }
    const auto at = static_cast<int64_t>(t);
    for (int64_t r = 0; r < rows_; ++r) {
      T *gates = nullptr, *h = nullptr, *c = nullptr;
      if (kept_ != nullptr) {
        gates = kept_row(kept_->gates, at, r, 4 * n);
        h = kept_row(kept_->h, at + 1, r, n);
        c = kept_row(kept_->c, at + 1, r, n);
      }
      K::gates(z + r * 4 * n, c_[0] + r * n, h_ + r * n, c_[1] + r * n, n, gates, h, c);
    }
    std::swap(c_[0], c_[1]);
  }

  // from = x W.
  void make_input(const ControllerPlan::Step& step) {
    const int64_t n = 4 * p_.h;
    if (!step.from_anchors) {
      for (int64_t r = 0; r < rows_; ++r)
        std::copy_n(p_.table.data() + plan_.table_row(step, actions(r)) * n, n, from_ + r * n);
      return;
    }
    project(step);
    std::fill_n(from_, rows_ * n, 0.0);
    for (int64_t r = 0; r < rows_; ++r) {
      plan_.each_anchor(step, actions(r), [&](int64_t anchor, double factor) {
        walk_axpy(factor, row(projected_, anchor, n) + r * n, from_ + r * n, n);
      });
    }
  }

  // Makes what is missing of the chosen anchors' h W, as many at once as there are rows.
  void project(const ControllerPlan::Step& step) {
    const int64_t n = p_.h;
    std::array<double*, kWalkRows> places{};
    int64_t count = 0;
    const auto flush = [&] {
      K::product(gathered_, count, n, p_.upper, 4 * n, nullptr, behind_);
      for (int64_t i = 0; i < count; ++i)
        std::copy_n(behind_ + i * 4 * n, 4 * n, places[static_cast<size_t>(i)]);
      count = 0;
    };
    for (int64_t r = 0; r < rows_; ++r) {
      plan_.each_anchor(step, actions(r), [&](int64_t anchor, double) {
        char& made = made_[static_cast<size_t>(anchor * rows_ + r)];
        if (made) return;
        made = 1;
        std::copy_n(row(anchors_, anchor, n) + r * n, n, gathered_ + count * n);
        places[static_cast<size_t>(count)] = row(projected_, anchor, 4 * n) + r * 4 * n;
        if (++count == rows_) flush();
      });
    }
    if (count > 0) flush();
  }

  void attend(const ControllerPlan::Step& step, int64_t r) const {
    const int64_t n = p_.h;
    for (int64_t j = 0; j < step.decision.count; ++j) {
      const int64_t key = plan_.anchors[static_cast<size_t>(step.decision.first_anchor + j)].key;
      T* t = kept_ != nullptr ? kept_row(kept_->attended, step.attended + j, r, n) : nullptr;
      products_[j] = K::attention(key < 0 ? nullptr : row(keys_, key, n) + r * n, query_ + r * n,
                                  p_.score.data(), n, t);
    }
  }

  void op_products(const ControllerPlan::Step& step, int64_t r) const {
    const int64_t n = p_.h;
    for (int64_t j = 0; j < step.decision.count; ++j) {
      products_[j] = walk_dot(h_ + r * n, p_.outputs.data() + j * n, n);
      if (!p_.bias.empty()) products_[j] += p_.bias[static_cast<size_t>(j)];
    }
  }

  // Logits and their slopes from the products.
  void bound(const ControllerPlan::Step& step, int64_t r) const {
    const Decision& d = step.decision;
    if (d.tanh_constant > 0) {
      walk_bound(products_, d.count, d.temperature, d.tanh_constant, values_, slopes_);
    } else {
      for (int32_t j = 0; j < d.count; ++j) {
        values_[j] = products_[j] / d.temperature;
        slopes_[j] = 1 / d.temperature;
      }
    }
    for (int32_t j = 0; j < d.count; ++j) {
      const double distance = d.count - j;
      if (d.kind == Kind::index) values_[j] -= d.distance_bias * distance * distance;
      if (d.kind == Kind::op) values_[j] += j < d.favoured ? d.op_bias : -d.op_bias;
      if (kept_ == nullptr) continue;
      *kept_row(kept_->logits, step.logit + j, r, 1) = values_[j];
      *kept_row(kept_->slopes, step.logit + j, r, 1) = slopes_[j];
    }
  }

  // Choice i of the step. A skip is one between logits -x and x.
  void choose(const ControllerPlan::Step& step, int64_t r, int64_t i, const Random* random,
              int64_t first_sample) {
    const double skip[2] = {-values_[i], values_[i]};
    const std::span<const double> logits =
        step.decision.kind == Kind::skips
            ? std::span<const double>(skip)
            : std::span<const double>(values_, static_cast<size_t>(step.decision.count));
    int32_t& action = actions(r)[step.choice + i];
    Choice choice;
    if (random != nullptr) {
      const int64_t draw = (first_sample + begin_ + r) * out_.decisions + step.choice + i;
      choice = cpu::choose(logits, random->uniform53(static_cast<uint64_t>(draw)));
      action = choice.action;
    } else {
      choice = partition(logits.data(), static_cast<int32_t>(logits.size()))
                   .choice(action, logits[static_cast<size_t>(action)]);
    }
    const auto s = static_cast<size_t>(begin_ + r);
    out_.log_prob[s] += choice.log_prob;
    out_.entropy[s] += choice.entropy;
    out_.sampled_entropy[s] -= std::exp(choice.log_prob) * choice.log_prob;
  }

  const ControllerPlan& plan_;
  const Policy<T>& p_;
  const WalkState<T>* kept_;
  Rollout& out_;
  int64_t begin_, rows_, anchors_count_;
  std::vector<char> made_;  // [anchors, rows] whether `projected` holds it
  Tensor numbers_;          // all that follows
  double *c_[2], *h_, *z_, *from_, *query_, *gathered_, *behind_;
  double *anchors_, *projected_,
      *keys_;  // [anchors, rows, h], [anchors, rows, 4h], [keys, rows, h]
  double *products_, *values_, *slopes_;  // a number a candidate
};

template <class T>
void walk_all(const ControllerWeights& weights, const ControllerPlan& plan,
              const WalkState<T>* kept, const Random* random, int64_t first_sample, Rollout& out) {
  const auto samples = static_cast<size_t>(out.samples);
  for (std::vector<double>* sums : {&out.log_prob, &out.entropy, &out.sampled_entropy})
    sums->assign(samples, 0);
  const Policy<T> policy(weights);
  // An epoch's samples can be more chunks than the pool takes at once.
  parallel_for(walk_chunks(out.samples), 1, [&](int64_t from, int64_t to) {
    for (int64_t chunk = from; chunk < to; ++chunk) {
      const int64_t begin = chunk * kWalkRows;
      const int64_t end = std::min(begin + kWalkRows, out.samples);
      Walk<T>(plan, policy, kept, out, begin, end).run(random, first_sample);
    }
  });
}

// Null where a list has no output matrix or bias.
std::array<const Tensor*, 8> parts_of(const ControllerWeights& w) {
  return {&w.start, &w.embedding, &w.lstm, &w.key, &w.query, &w.score, &w.output, &w.bias};
}
std::vector<uint32_t> versions_of(const ControllerWeights& w) {
  std::vector<uint32_t> versions;
  for (const Tensor* part : parts_of(w))
    if (part->defined()) versions.push_back(part->version());
  return versions;
}

}  // namespace

ControllerTrace::ControllerTrace(const ControllerWeights& w, const DecisionList& l, int64_t s)
    : list(l), plan(l), weights(w), versions(versions_of(w)), samples(s) {
  const int64_t h = w.start.numel(), steps = static_cast<int64_t>(plan.steps.size());
  rows = Tensor({(6 * steps + 2 + plan.attended) * s * h}, w.start.dtype());
  numbers = Tensor({2 * plan.logits * s}, DType::f64);
}

template <class T>
WalkState<T> ControllerTrace::state() const {
  const int64_t row = samples * weights.start.numel();
  const auto steps = static_cast<int64_t>(plan.steps.size());
  Tensor shared_rows = rows, shared_numbers = numbers;  // handles of the same values
  WalkState<T> state;
  state.h = shared_rows.data<T>();
  state.c = state.h + (steps + 1) * row;
  state.gates = state.c + (steps + 1) * row;
  state.attended = state.gates + steps * 4 * row;
  state.logits = shared_numbers.data<double>();
  state.slopes = state.logits + plan.logits * samples;
  return state;
}
template WalkState<float> ControllerTrace::state() const;
template WalkState<double> ControllerTrace::state() const;

bool ControllerTrace::is_of(const ControllerWeights& w, const DecisionList& l,
                            const std::vector<int32_t>& choices) const {
  const auto here = parts_of(weights), there = parts_of(w);
  for (size_t i = 0; i < here.size(); ++i)
    if (here[i]->raw() != there[i]->raw() || here[i]->shape() != there[i]->shape()) return false;
  return versions == versions_of(w) && actions == choices && list == l;
}

void controller_walk(const ControllerWeights& weights, const DecisionList& list,
                     const Random* random, int64_t first_sample, Rollout& out) {
  const ControllerPlan plan(list);
  visit_real(weights.start.dtype(), "controller_walk", [&](auto tag) {
    walk_all<decltype(tag)>(weights, plan, nullptr, random, first_sample, out);
  });
}

std::shared_ptr<const ControllerTrace> controller_trace(const ControllerWeights& weights,
                                                        const DecisionList& list,
                                                        const Random* random, int64_t first_sample,
                                                        Rollout& out) {
  const auto trace = std::make_shared<ControllerTrace>(weights, list, out.samples);
  visit_real(weights.start.dtype(), "controller_walk", [&](auto tag) {
    using T = decltype(tag);
    const WalkState<T> state = trace->state<T>();
    const int64_t row = out.samples * weights.start.numel();
    std::fill_n(state.h, row, T{0});
    std::fill_n(state.c, row, T{0});
    walk_all<T>(weights, trace->plan, &state, random, first_sample, out);
  });
  trace->actions = out.actions;
  trace->log_prob = out.log_prob;
  trace->entropy = out.entropy;
  return trace;
}

}  // namespace enas
