// Kernel of ops/controller_rollout.h: a block walks one architecture's way through the decisions,
// with its state in shared memory and the weights read from L2, which the blocks share. Arithmetic
// in double and the draws are the CPU's, so that both devices sample the same architectures.
#include "ops/controller_rollout.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cuda/launch.cuh"
#include "cuda/reduce.cuh"
#include "ops/choose.h"

namespace enas::cuda {
namespace {

constexpr unsigned kMostWarps = 16;

template <class T>
struct Weights {
  const T *start, *embedding, *lstm, *key, *query, *score;
  const T *output, *bias;  // either may be null
  unsigned ops;
};
struct Steps {
  const Decision* list;
  unsigned count, zero_anchors;
  int64_t decisions;
};
struct Sizes {
  size_t hidden, anchors, candidates;  // the most there are
  ENAS_HD size_t row() const { return hidden * sizeof(double); }
  ENAS_HD size_t rows() const { return (8 + 2 * anchors) * row(); }
  size_t bytes() const { return rows() + (2 * candidates + 1) * sizeof(double) + candidates * 4; }
};

// What one sample leaves beside its actions. Where `broken`, top and total are those of the row of
// logits that is not finite.
struct SampleResult {
  double log_prob, entropy, sampled_entropy, top, total;
  int64_t broken;
};

// The state of one architecture's walk.
struct State {
  unsigned h;
  Shared<double> xh;               // [2 h] the input x, then the LSTM's h
  Shared<double> cell;             // [h]
  Shared<double> gates;            // [4 h] i f o g
  Shared<double> query;            // [h]
  Shared<double> anchors, keys;    // [anchors, h]
  Shared<double> logits, weights;  // [candidates]
  Shared<int32_t> action;          // [1], -1: the logits were not finite
  Shared<int32_t> bits;            // [candidates] of the last skips
  __device__ State(unsigned char* shared, const Sizes& s)
      : h(static_cast<unsigned>(s.hidden)),
        xh(shared, 0, 2 * s.hidden),
        cell(shared, 2 * s.row(), s.hidden),
        gates(shared, 3 * s.row(), 4 * s.hidden),
        query(shared, 7 * s.row(), s.hidden),
        anchors(shared, 8 * s.row(), s.anchors * s.hidden),
        keys(shared, (8 + s.anchors) * s.row(), s.anchors * s.hidden),
        logits(shared, s.rows(), s.candidates),
        weights(shared, s.rows() + s.candidates * sizeof(double), s.candidates),
        action(shared, s.rows() + 2 * s.candidates * sizeof(double), 1),
        bits(shared, s.rows() + (2 * s.candidates + 1) * sizeof(double), s.candidates) {}
};

// out[begin + j] = sum over i of in[first + i] w[i, j], w [rows, columns]: a thread a column, its
// sum in the CPU's order.
template <class T>
__device__ void product(const Shared<double>& in, unsigned first, const T* __restrict__ w,
                        unsigned rows, unsigned columns, const Shared<double>& out,
                        unsigned begin) {
  for (unsigned j = threadIdx.x; j < columns; j += blockDim.x) {
    double sum = 0;
#pragma unroll 8
    for (unsigned i = 0; i < rows; ++i) {
      sum += in.get(first + i) * static_cast<double>(w[int64_t{i} * columns + j]);
    }
    out.set(begin + j, sum);
  }
}

__device__ double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

__device__ double bound(double logit, const Decision& d) {
  logit /= d.temperature;
  return d.tanh_constant > 0 ? d.tanh_constant * std::tanh(logit) : logit;
}

__device__ unsigned count_of(const Decision& d) { return static_cast<unsigned>(d.count); }

struct Chosen {
  unsigned op = 0, index = 0;  // index: of an anchor
  int32_t distance = 0;
  unsigned first_skip = 0, skips = 0;  // candidates of the last skips
};

// Element k of the mean of the anchors that the last skips chose and a zero.
__device__ double skip_mean(const State& state, const Chosen& chosen, unsigned k) {
  double sum = 0;
  int32_t count = 0;
  for (unsigned j = 0; j < chosen.skips; ++j) {
    if (state.bits.get(j) == 0) continue;
    sum += state.anchors.get((chosen.first_skip + j) * state.h + k);
    ++count;
  }
  return sum / (1.0 + count);
}

// x, then one step of the LSTM. Ends with a barrier.
template <class T>
__device__ void move(const State& state, const Weights<T>& w, const Decision& d,
                     const Chosen& chosen) {
  const unsigned h = state.h;
  for (unsigned k = threadIdx.x; k < h; k += blockDim.x) {
    double x = 0;
    if (d.input == Decision::From::anchor) {
      x = state.anchors.get(chosen.index * h + k) / (0.1 + chosen.distance);
    } else if (d.input == Decision::From::bare_anchor) {
      x = state.anchors.get(chosen.index * h + k);
    } else if (d.input == Decision::From::skips) {
      x = skip_mean(state, chosen, k);
    } else if (d.input == Decision::From::embedding) {
      x = static_cast<double>(w.embedding[chosen.op * h + k]);
    } else {
      x = static_cast<double>(w.start[k]);
    }
    state.xh.set(k, x);
  }
  __syncthreads();
  product(state.xh, 0, w.lstm, 2 * h, 4 * h, state.gates, 0);
  __syncthreads();
  for (unsigned k = threadIdx.x; k < h; k += blockDim.x) {
    const double i = state.gates.get(k), f = state.gates.get(h + k), o = state.gates.get(2 * h + k),
                 g = state.gates.get(3 * h + k);
    const double c = sigmoid(i) * std::tanh(g) + sigmoid(f) * state.cell.get(k);
    state.cell.set(k, c);
    state.xh.set(h + k, sigmoid(o) * std::tanh(c));
  }
  __syncthreads();
}

// The logits of a decision, a warp a candidate; of skips those for yes. Ends with a barrier.
template <class T>
__device__ void make_logits(const State& state, const Weights<T>& w, const Decision& d) {
  const unsigned h = state.h, lane = threadIdx.x % kWarp;
  const bool op = d.kind == Decision::Kind::op;
  if (!op) {
    product(state.xh, h, w.query, h, h, state.query, 0);
    __syncthreads();
  }
  const unsigned first = static_cast<unsigned>(d.first_anchor);
  for (unsigned j = threadIdx.x / kWarp; j < count_of(d); j += blockDim.x / kWarp) {
    double dot = 0;
    for (unsigned k = lane; k < h; k += kWarp) {
      if (!op) {
        dot += std::tanh(state.keys.get((first + j) * h + k) + state.query.get(k)) *
               static_cast<double>(w.score[k]);
      } else {
        const T weight = w.output != nullptr ? w.output[k * w.ops + j] : w.embedding[j * h + k];
        dot += state.xh.get(h + k) * static_cast<double>(weight);
      }
    }
    dot = warp_reduce<Sum>(dot);
    if (op && w.bias != nullptr) dot += static_cast<double>(w.bias[j]);
    double logit = bound(dot, d);
    const double distance = count_of(d) - j;
    if (d.kind == Decision::Kind::index) logit -= d.distance_bias * distance * distance;
    if (op && d.op_bias != 0) {
      logit += j < static_cast<unsigned>(d.favoured) ? d.op_bias : -d.op_bias;
    }
    if (lane == 0) state.logits.set(j, logit);
  }
  __syncthreads();
}

__device__ void count_choice(const Choice& choice, SampleResult& result) {
  result.log_prob += choice.log_prob;
  result.entropy += choice.entropy;
  result.sampled_entropy -= std::exp(choice.log_prob) * choice.log_prob;
}

// The first warp decides; thread 0 has the sums. Ends with a barrier.
__device__ void decide(const State& state, const Decision& d, double uniform,
                       SampleResult& result) {
  if (threadIdx.x < kWarp) {
    Partition row;
    for (unsigned j = 0; j < count_of(d); ++j) row.see(state.logits.get(j));
    for (unsigned j = threadIdx.x; j < count_of(d); j += kWarp) {
      state.weights.set(j, std::exp(state.logits.get(j) - row.top));
    }
    __syncwarp();
    if (threadIdx.x == 0) {
      for (unsigned j = 0; j < count_of(d); ++j) {
        const double weight = state.weights.get(j);
        row.add(weight, Partition::term(weight, state.logits.get(j) - row.top));
      }
      Inversion walk(uniform, row);
      for (unsigned j = 0; j < count_of(d); ++j) {
        if (walk.visit(static_cast<int32_t>(j), state.weights.get(j))) break;
      }
      const Choice choice =
          row.choice(walk.action, state.logits.get(static_cast<size_t>(walk.action)));
      count_choice(choice, result);
      result.top = row.top;
      result.total = row.total;
      result.broken = row.usable() ? 0 : 1;
      state.action.set(0, row.usable() ? choice.action : -1);
    }
  }
  __syncthreads();
}

// The choice between logits -x and x of one skip.
__device__ Choice choose_skip(double x, double uniform, Partition& row) {
  const double no = -x;
  row.see(no);
  row.see(x);
  const double weight_no = std::exp(no - row.top), weight_yes = std::exp(x - row.top);
  row.add(weight_no, Partition::term(weight_no, no - row.top));
  row.add(weight_yes, Partition::term(weight_yes, x - row.top));
  Inversion walk(uniform, row);
  if (!walk.visit(0, weight_no)) walk.visit(1, weight_yes);
  return row.choice(walk.action, walk.action == 0 ? no : x);
}

// Thread j decides skip j; thread 0 then sums, in the CPU's order. Ends with a barrier.
__device__ void decide_skips(const State& state, const Decision& d, const Random& random,
                             uint64_t first_draw, SampleResult& result) {
  for (unsigned j = threadIdx.x; j < count_of(d); j += blockDim.x) {
    Partition row;
    const Choice choice = choose_skip(state.logits.get(j), random.uniform53(first_draw + j), row);
    state.bits.set(j, row.usable() ? choice.action : -1);
    state.weights.set(j, row.usable() ? choice.log_prob : row.top);
    state.logits.set(j, row.usable() ? choice.entropy : row.total);
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    state.action.set(0, 0);
    for (unsigned j = 0; j < count_of(d); ++j) {
      if (state.bits.get(j) < 0) {
        result.top = state.weights.get(j);
        result.total = state.logits.get(j);
        result.broken = 1;
        state.action.set(0, -1);
        break;
      }
      count_choice({state.bits.get(j), state.weights.get(j), state.logits.get(j)}, result);
    }
  }
  __syncthreads();
}

// Decides all choices of a step, writes them and moves `decided` on. False: not finite.
__device__ bool take(const State& state, const Decision& d, const Random& random,
                     int64_t first_draw, int64_t& decided, Chosen& chosen,
                     int32_t* __restrict__ actions, SampleResult& result) {
  const auto draw = static_cast<uint64_t>(first_draw + decided);
  if (d.kind == Decision::Kind::skips) {
    decide_skips(state, d, random, draw, result);
    if (state.action.get(0) < 0) return false;
    chosen.first_skip = static_cast<unsigned>(d.first_anchor);
    chosen.skips = count_of(d);
    for (unsigned j = threadIdx.x; j < count_of(d); j += blockDim.x) {
      actions[decided + j] = state.bits.get(j);
    }
    decided += d.count;
    return true;
  }
  decide(state, d, threadIdx.x == 0 ? random.uniform53(draw) : 0, result);
  const int32_t action = state.action.get(0);
  if (action < 0) return false;
  if (d.kind == Decision::Kind::index) {
    chosen.index = static_cast<unsigned>(d.first_anchor + action);
    chosen.distance = d.count - action;
  } else {
    chosen.op = static_cast<unsigned>(action);
  }
  if (threadIdx.x == 0) actions[decided] = action;
  ++decided;
  return true;
}

template <class T>
__global__ void __launch_bounds__(kMostWarps* kWarp, 1)
    rollout(Weights<T> w, Steps steps, Sizes sizes, Random random, int64_t first_sample,
            int32_t* __restrict__ actions, SampleResult* __restrict__ results) {
  ENAS_SHARED(shared);
  const State state(shared, sizes);
  const unsigned h = state.h;
  for (unsigned k = threadIdx.x; k < h; k += blockDim.x) {
    state.xh.set(h + k, 0);
    state.cell.set(k, 0);
  }
  for (unsigned k = threadIdx.x; k < steps.zero_anchors * h; k += blockDim.x) {
    state.anchors.set(k, 0);
    state.keys.set(k, 0);
  }
  SampleResult result{};
  Chosen chosen;
  unsigned anchors = steps.zero_anchors;
  int64_t decided = 0;
  const int64_t sample = blockIdx.x, first_draw = (first_sample + sample) * steps.decisions;
  for (unsigned s = 0; s < steps.count; ++s) {
    const Decision d = steps.list[s];
    move(state, w, d, chosen);
    if (d.kind != Decision::Kind::advance) {
      make_logits(state, w, d);
      if (!take(state, d, random, first_draw, decided, chosen, actions + sample * steps.decisions,
                result)) {
        break;
      }
    }
    if (d.leaves_anchor) {
      for (unsigned k = threadIdx.x; k < h; k += blockDim.x) {
        state.anchors.set(anchors * h + k, d.zero_anchor ? 0 : state.xh.get(h + k));
      }
      product(state.xh, h, w.key, h, h, state.keys, anchors * h);
      ++anchors;
    }
  }
  if (threadIdx.x == 0) results[sample] = result;
}

Sizes sizes_of(const ControllerWeights& weights, const DecisionList& list) {
  int32_t anchors = list.zero_anchors, candidates = 1;
  for (const Decision& d : list.steps) {
    anchors += d.leaves_anchor;
    candidates = std::max(candidates, d.count);
  }
  return {static_cast<size_t>(weights.start.numel()), static_cast<size_t>(anchors),
          static_cast<size_t>(candidates)};
}

// A thread a gate, as far as the registers go.
unsigned threads_for(const Sizes& sizes) {
  const unsigned warps = static_cast<unsigned>((4 * sizes.hidden + kWarp - 1) / kWarp);
  return std::clamp(warps, 2u, kMostWarps) * kWarp;
}

void take_results(const unsigned char* host, Rollout& out) {
  const auto samples = static_cast<size_t>(out.samples);
  for (size_t s = 0; s < samples; ++s) {
    SampleResult result;
    std::memcpy(&result, host + s * sizeof(SampleResult), sizeof(SampleResult));
    check(result.broken == 0, ErrorKind::diverged, "controller_rollout",
          "logits are not finite (largest ", result.top, ", partition sum ", result.total,
          "); try a smaller learning rate");
    out.log_prob[s] = result.log_prob;
    out.entropy[s] = result.entropy;
    out.sampled_entropy[s] = result.sampled_entropy;
  }
  if (out.actions.empty()) return;
  std::memcpy(out.actions.data(), host + samples * sizeof(SampleResult),
              out.actions.size() * sizeof(int32_t));
}

}  // namespace

void controller_rollout(const ControllerWeights& weights, const DecisionList& list,
                        const Random& random, int64_t first_sample, Rollout& out) {
  if (out.samples == 0) return;
  const size_t step_bytes = list.steps.size() * sizeof(Decision);
  Scratch steps(step_bytes);
  if (step_bytes > 0) upload(steps.as<Decision>(), list.steps.data(), step_bytes);
  const size_t result_bytes = static_cast<size_t>(out.samples) * sizeof(SampleResult);
  const size_t bytes = result_bytes + out.actions.size() * sizeof(int32_t);
  Scratch results(bytes);
  const Sizes sizes = sizes_of(weights, list);
  const Launch how{dim3(static_cast<unsigned>(out.samples)), dim3(threads_for(sizes)),
                   sizes.bytes()};
  visit_real(weights.start.dtype(), "controller_rollout", [&](auto tag) {
    using T = decltype(tag);
    const Weights<T> w{weights.start.data<T>(),
                       weights.embedding.data<T>(),
                       weights.lstm.data<T>(),
                       weights.key.data<T>(),
                       weights.query.data<T>(),
                       weights.score.data<T>(),
                       weights.output.defined() ? weights.output.data<T>() : nullptr,
                       weights.bias.defined() ? weights.bias.data<T>() : nullptr,
                       static_cast<unsigned>(weights.embedding.size(0))};
    launch("controller_rollout", rollout<T>, how, w,
           Steps{steps.as<Decision>(), static_cast<unsigned>(list.steps.size()),
                 static_cast<unsigned>(list.zero_anchors), out.decisions},
           sizes, random, first_sample, results.as<int32_t>() + result_bytes / sizeof(int32_t),
           results.as<SampleResult>());
  });
  std::vector<unsigned char> host(bytes);
  download(host.data(), results.as<unsigned char>(), bytes);
  take_results(host.data(), out);
}

}  // namespace enas::cuda
