// Samples architectures from the LSTM policy, without a tape and many at once. The order of a
// space's decisions is plain data that both forms of the policy read: this op, and nas/controller's
// log_prob on the tape. Source: docs/method.md section 1.3 (recurrent), 2 and 3 (convolutional);
// docs/architecture.md, "Search".
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "tensor/philox.h"
#include "tensor/tensor.h"

namespace enas {

// One step of the controller: form the LSTM's input, run the LSTM, and (unless `advance`) decide.
struct Decision {
  enum class Kind : uint8_t {
    index,    // one of `count` anchors, by attention: v . tanh(key_j + h W2)
    op,       // one of `count` operations: h . embedding_j, or (h W + b)_j
    advance,  // no decision: the step only moves the state (and may leave an anchor)
    skips,    // a bit for each of `count` anchors, by softmax of (-q_j, q_j), q_j as of `index`
  };
  enum class From : uint8_t {
    start,        // the learned start vector
    embedding,    // the embedding of the op decided last
    anchor,       // the anchor chosen last, divided by (0.1 + its distance)
    bare_anchor,  // the anchor chosen last
    skips,        // the sum of the anchors that the last `skips` chose, divided by (1 + how many)
  };
  Kind kind = Kind::op;
  int32_t count = 0;
  From input = From::start;
  double temperature = 1;    // logits are divided by it ...
  double tanh_constant = 0;  // ... then bounded to C tanh(.); 0: not bounded
  double distance_bias = 0;  // index: after the bound, this times (count - j)^2 is subtracted
  // After deciding, this step's h becomes the next anchor, with key h W1; zero_anchor: with that
  // key, but with zero as its vector.
  bool leaves_anchor = false, zero_anchor = false;
  int32_t first_anchor = 0;  // index, skips: candidate j is anchor first_anchor + j
  int32_t favoured = 0;      // op: after the bound, op_bias is added to the logits of the first
  double op_bias = 0;        // `favoured` candidates and subtracted from those of the others
  bool operator==(const Decision&) const = default;
};
// A list of decisions starts with `zero_anchors` anchors whose vector and key are zero.
struct DecisionList {
  std::vector<Decision> steps;
  int32_t zero_anchors = 0;
  bool op_matrix = false;               // op decisions have an output matrix W of their own ...
  std::vector<double> start_bias = {};  // ... and a learned bias b, which starts here; empty: none
  bool operator==(const DecisionList&) const = default;
};

// How many integers of an architecture a step decides.
inline int64_t choices_of(const Decision& d) {
  return d.kind == Decision::Kind::advance ? 0 : d.kind == Decision::Kind::skips ? d.count : 1;
}
// What is added to the logits of an index or op decision after the bound; empty: nothing.
std::vector<double> offsets_of(const Decision& decision);
// Candidates of every choice, in order.
std::vector<int32_t> choice_counts(const DecisionList& list);

// Weights of one dtype (f32 or f64). h: the LSTM's size. Gates i f o g; no biases.
struct ControllerWeights {
  Tensor start;      // [1, h]
  Tensor embedding;  // [ops, h], also the output matrix of `op` decisions without one of their own
  Tensor lstm;       // [2h, 4h] on [x, h]
  Tensor key;        // [h, h]  W1
  Tensor query;      // [h, h]  W2
  Tensor score;      // [h, 1]  v
  Tensor output = {};  // [h, ops] W, where the list says so
  Tensor bias = {};    // [1, ops] b, where the list says so
};

// Refuses (internal) weights that do not fit the list and lists that read what no earlier step
// made; `op` is named. Returns the number of choices.
int64_t check_controller(const char* op, const ControllerWeights& weights,
                         const DecisionList& list);

struct ControllerTrace;  // ops/controller_walk.h

struct Rollout {
  int64_t samples = 0, decisions = 0;   // decisions: choices of an architecture
  std::vector<int32_t> actions;         // [samples, decisions]
  std::vector<double> log_prob;         // [samples]
  std::vector<double> entropy;          // [samples], summed along the sampled path
  std::vector<double> sampled_entropy;  // [samples], sum of p (-log p) of the actions taken
  // The states that the samples went through, for controller_score. Null unless they were kept.
  std::shared_ptr<const ControllerTrace> trace = nullptr;
};
enum class Trace : uint8_t { dropped, kept };  // kept on the CPU alone

// Samples number first_sample, first_sample + 1, ...: sample s draws its decision d from
// random.uniform53(s * decisions + d), so each is a pure function of (weights, list, random, s).
// All arithmetic, the LSTM's too, is in double, whatever the weights' dtype, on the device of the
// weights; from a GPU the results come in one download, which waits. Refuses weights that
// do not fit and lists that read what no earlier step made (internal), and logits that are not
// finite (diverged).
Rollout controller_rollout(const ControllerWeights& weights, const DecisionList& list,
                           int64_t samples, const Random& random, int64_t first_sample = 0,
                           Trace trace = Trace::dropped);

namespace cpu {
void controller_rollout(const ControllerWeights& weights, const DecisionList& list,
                        const Random& random, int64_t first_sample, Trace trace, Rollout& out);
}  // namespace cpu
namespace cuda {
void controller_rollout(const ControllerWeights& weights, const DecisionList& list,
                        const Random& random, int64_t first_sample, Rollout& out);
}  // namespace cuda

}  // namespace enas
