// What the tests of the method share: a recurrent child small enough to run thousands of steps of,
// and its task on a generated text.
#pragma once
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "nas/rnn/task.h"
#include "nas/search.h"

namespace enas::test {

inline std::vector<int32_t> random_tokens(int64_t n, int64_t vocabulary, uint64_t step = 0) {
  const Random random{7, Stream::test, step};
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < n; ++i) {
    tokens.push_back(static_cast<int32_t>(
        random.below(static_cast<uint32_t>(vocabulary), static_cast<uint64_t>(i))));
  }
  return tokens;
}

inline std::vector<Architecture> random_architectures(const RnnSpace& space, int64_t n,
                                                      uint64_t step = 0) {
  return uniform_architectures(space.decisions({}), n, Random{7, Stream::test, step});
}

// Every architecture of a space: its choices counted through like digits.
inline std::vector<Architecture> all_architectures(const RnnSpace& space) {
  std::vector<Architecture> all = {{}};
  for (const Decision& decision : space.decisions({}).steps) {
    std::vector<Architecture> longer;
    for (const Architecture& arch : all) {
      for (int32_t choice = 0; choice < decision.count; ++choice) {
        longer.push_back(arch);
        longer.back().choices.push_back(choice);
      }
    }
    all = std::move(longer);
  }
  return all;
}

// A tensor's bytes: equal only where every bit is, NaN and signed zero included.
inline std::string bytes_of(const Tensor& t) {
  return t.defined() ? std::string(static_cast<const char*>(t.raw()), t.bytes()) : "undefined";
}
inline std::map<std::string, std::string> bytes_of(const ParameterStore& parameters) {
  std::map<std::string, std::string> bytes;
  for (const Parameter& p : parameters) bytes[p.name] = bytes_of(p.value);
  return bytes;
}
inline std::map<std::string, std::string> bytes_of(const Sgd& sgd) {
  std::map<std::string, Tensor> slots;
  sgd.state(slots, "");
  std::map<std::string, std::string> bytes;
  for (const auto& [name, slot] : slots) bytes[name] = bytes_of(slot);
  return bytes;
}

inline RnnChildOptions small_options() {
  RnnChildOptions options;
  options.vocabulary = 11;
  options.hidden = 8;
  options.init_range = 0.4;
  return options;
}
// All masks and regularisers.
inline RnnChildOptions full_options() {
  RnnChildOptions options = small_options();
  options.dropout = {0.1, 0.2, 0.3, 0.25, 0.35};
  options.activation_penalty = 0.3;
  options.slowness_penalty = 0.7;
  options.l4_decay = 0.05;
  return options;
}
inline RnnTaskOptions small_task_options() {
  RnnTaskOptions options;
  options.batch = 4;
  options.reward_batch = 3;
  options.bptt = 5;
  return options;
}

struct SmallTask {
  explicit SmallTask(const RnnChildOptions& child_options = small_options(), int nodes = 3,
                     DType dtype = DType::f32, const RnnTaskOptions& options = small_task_options())
      : train(random_tokens(203, child_options.vocabulary)),
        valid(random_tokens(101, child_options.vocabulary, 1)),
        child(RnnSpace(nodes), child_options, 1, dtype),
        task(child, options, train, valid, 0) {}
  // A training window, time-major over the task's streams.
  TextWindow window(int64_t start = 0, int64_t length = 5) const {
    return task.train_streams().window(start, length);
  }

  std::vector<int32_t> train, valid;
  RnnChild child;
  RnnTask task;
};

}  // namespace enas::test
