// Both forms of the policy with its choices given, against a naive computation; the form of one op
// against that of small ones, for many samples at once.
#include "ops/controller_score.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "tensor/thread_pool.h"
#include "tests/op_cases.h"
#include "tests/ops/controller_reference.h"

namespace enas::test {
namespace {

struct Setting {
  DecisionList list;
  int64_t h, ops, samples;
  SkipPenalty penalty = {};
  std::vector<int32_t> choices() const {
    const std::vector<int32_t> counts = choice_counts(list);
    std::vector<int32_t> drawn;
    for (uint64_t i = 0; i < static_cast<uint64_t>(samples) * counts.size(); ++i) {
      const auto candidates = static_cast<uint32_t>(counts[i % counts.size()]);
      drawn.push_back(static_cast<int32_t>(Random{9, Stream::test, 1}.below(candidates, i)));
    }
    return drawn;
  }
  size_t each() const { return choice_counts(list).size(); }
  ScoreOptions want() const { return {true, penalty}; }
};

std::vector<InputSpec> inputs_of(const Setting& s, double range) {
  const auto weight = [&](const Shape& shape) { return in(shape, -range, range); };
  std::vector<InputSpec> list = {weight({1, s.h}),           weight({s.ops, s.h}),
                                 weight({2 * s.h, 4 * s.h}), weight({s.h, s.h}),
                                 weight({s.h, s.h}),         weight({s.h, 1})};
  if (s.list.op_matrix) list.push_back(weight({s.h, s.ops}));
  if (!s.list.start_bias.empty()) list.push_back(weight({1, s.ops}));
  return list;
}

ControllerVars vars_of(const std::vector<Var>& x) {
  ControllerVars v{x[0], x[1], x[2], x[3], x[4], x[5], {}, {}};
  if (x.size() > 6) v.output = x[6];
  if (x.size() > 7) v.bias = x[7];
  return v;
}

std::vector<Var> outputs_of(const ControllerScores& scores) {
  std::vector<Var> y = {scores.log_prob, scores.entropy};
  if (scores.skip_kl.value().defined()) y.push_back(scores.skip_kl);
  return y;
}

// samples: how many of the setting's.
Reference reference_of(const Setting& s) {
  return [s](const std::vector<Values>& in) {
    const std::vector<InputSpec> specs = inputs_of(s, 1);
    const auto tensor = [&](size_t i) {
      return i < in.size() ? Tensor::from(in[i], specs[i].shape, DType::f64) : Tensor();
    };
    const ControllerWeights w{tensor(0), tensor(1), tensor(2), tensor(3),
                              tensor(4), tensor(5), tensor(6), tensor(7)};
    const std::vector<int32_t> choices = s.choices();
    std::vector<Values> y(3);
    for (size_t at = 0; at < choices.size(); at += s.each()) {
      const Naive want = naive(w, s.list, choices.data() + at, s.penalty);
      y[0].push_back(want.log_prob);
      y[1].push_back(want.entropy);
      y[2].push_back(want.skip_kl);
    }
    const auto skips = [](const Decision& d) { return d.kind == Decision::Kind::skips; };
    if (std::none_of(s.list.steps.begin(), s.list.steps.end(), skips)) y.pop_back();
    return y;
  };
}

OpCase case_of(const char* label, const Setting& s, bool recorded, double range = 0.8) {
  OpCase c;
  c.label = label;
  c.inputs = inputs_of(s, range);
  c.reference = reference_of(s);
  c.op = [s, recorded](Tape&, const std::vector<Var>& x) {
    const std::vector<int32_t> choices = s.choices();
    return outputs_of(recorded ? controller_record(vars_of(x), s.list, choices, s.want())
                               : controller_score(vars_of(x), s.list, choices, s.want()));
  };
  c.sum_length = 16 * s.h * static_cast<int64_t>(s.list.steps.size());
  c.f64_relative = 1e-11;
  c.draws = 3;
  return c;
}

Setting recurrent(int64_t h, int64_t samples) { return {small_list(), h, 4, samples}; }
Setting macro(int64_t h, int64_t samples, bool stem = true, SkipPenalty penalty = {}) {
  return {macro_list(stem, 4), h, 3, samples, penalty};
}
Setting micro(int64_t h, int64_t samples, int nodes = 2) {
  return {micro_list(nodes), h, 3, samples};
}

OP_CASES(controller_record, case_of("recurrent", recurrent(5, 1), true),
         case_of("macro", macro(5, 1), true),
         case_of("macro_sigmoid", macro(4, 1, false, {0.3, true}), true),
         case_of("micro", micro(5, 1), true));
OP_CASES(controller_score, case_of("recurrent", recurrent(5, 1), false),
         case_of("recurrent_7_samples", recurrent(4, 7), false),
         case_of("macro_6_samples", macro(5, 6), false),
         case_of("macro_sigmoid", macro(4, 3, false, {0.3, true}), false),
         case_of("micro_5_samples", micro(5, 5), false),
         case_of("micro_more_units_than_a_vector", micro(35, 2, 1), false, 0.3));

struct Result {
  std::vector<std::vector<double>> outputs, gradients;
};

std::vector<Tensor> weights_of(const Setting& s, DType dtype) {
  std::vector<Tensor> weights;
  for (const InputSpec& spec : inputs_of(s, 0.5)) {
    const Random random{4, Stream::test, weights.size()};
    std::vector<double> values;
    for (int64_t i = 0; i < spec.shape.numel(); ++i)
      values.push_back(random.uniform53(static_cast<uint64_t>(i)) - 0.5);
    weights.push_back(Tensor::from(values, spec.shape, dtype));
  }
  return weights;
}

// By one op, or by small ones for each sample.
Result run(const Setting& s, DType dtype, bool recorded) {
  Tape tape;
  std::vector<Var> x;
  for (const Tensor& weight : weights_of(s, dtype)) x.push_back(tape.variable(weight));
  const std::vector<int32_t> choices = s.choices();
  std::vector<Var> all;
  Result result;
  result.outputs.resize(3);
  const auto take = [&](const ControllerScores& scores) {
    const std::vector<Var> y = outputs_of(scores);
    for (size_t i = 0; i < y.size(); ++i) {
      const std::vector<double> values = y[i].value().to_vector();
      result.outputs[i].insert(result.outputs[i].end(), values.begin(), values.end());
    }
    all.insert(all.end(), y.begin(), y.end());
  };
  if (!recorded) take(controller_score(vars_of(x), s.list, choices, s.want()));
  for (size_t at = 0; recorded && at < choices.size(); at += s.each()) {
    take(controller_record(vars_of(x), s.list, std::span(choices).subspan(at, s.each()), s.want()));
  }
  Var loss = sum(all[0]);
  for (size_t i = 1; i < all.size(); ++i) loss = add(loss, sum(all[i]));
  tape.backward(loss);
  for (const Var& v : x) result.gradients.push_back(tape.gradient(v).to_vector());
  return result;
}

void expect_near(const std::vector<std::vector<double>>& got,
                 const std::vector<std::vector<double>>& want, double relative) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].size(), want[i].size());
    double largest = 0;
    for (const double v : want[i]) largest = std::max(largest, std::fabs(v));
    for (size_t k = 0; k < got[i].size(); ++k)
      ASSERT_NEAR(got[i][k], want[i][k], relative * std::max(largest, 1.0)) << i << ' ' << k;
  }
}

TEST(ControllerScore, OneOpIsManySmallOnes) {
  for (const Setting& s : {recurrent(20, 13), macro(64, 9), micro(17, 6, 4), macro(33, 1, false)}) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      const Result one = run(s, dtype, false), many = run(s, dtype, true);
      const double relative = dtype == DType::f64 ? 1e-12 : 3e-5;
      expect_near(one.outputs, many.outputs, relative);
      expect_near(one.gradients, many.gradients, relative);
    }
  }
}

// A sample's values do not depend on those beside it, nor anything on the threads.
TEST(ControllerScore, SameBitsAloneAndTogether) {
  Setting s = micro(24, 11);
  const Result together = run(s, DType::f32, false);
  const int before = thread_count();
  for (const int threads : {1, 2, 3}) {
    set_thread_count(threads);
    const Result again = run(s, DType::f32, false);
    EXPECT_EQ(again.outputs, together.outputs);
    EXPECT_EQ(again.gradients, together.gradients);
  }
  set_thread_count(before);
  for (const int64_t fewer : {int64_t{1}, int64_t{3}, int64_t{6}}) {
    s.samples = fewer;
    const Result part = run(s, DType::f32, false);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_TRUE(
          std::equal(part.outputs[i].begin(), part.outputs[i].end(), together.outputs[i].begin()));
    }
  }
}

// Architectures that the policy drew, with what the sampling kept.
struct Drawn {
  Setting setting;
  std::vector<Tensor> tensors;
  Rollout rollout;
  Drawn(const Setting& s, DType dtype) : setting(s), tensors(weights_of(s, dtype)) {
    tensors.resize(8);
    const ControllerWeights w{tensors[0], tensors[1], tensors[2], tensors[3],
                              tensors[4], tensors[5], tensors[6], tensors[7]};
    rollout = controller_rollout(w, s.list, s.samples, {6, Stream::test, 2}, 3, Trace::kept);
  }
  Result score(const std::vector<int32_t>& choices,
               const std::shared_ptr<const ControllerTrace>& trace) const {
    Tape tape;
    std::vector<Var> x;
    for (const Tensor& t : tensors)
      if (t.defined()) x.push_back(tape.variable(t));
    ScoreOptions want = setting.want();
    want.trace = trace;
    const std::vector<Var> y =
        outputs_of(controller_score(vars_of(x), setting.list, choices, want));
    Result result;
    Var loss = sum(y[0]);
    for (size_t i = 1; i < y.size(); ++i) loss = add(loss, sum(y[i]));
    tape.backward(loss);
    for (const Var& v : y) result.outputs.push_back(v.value().to_vector());
    for (const Var& v : x) result.gradients.push_back(tape.gradient(v).to_vector());
    return result;
  }
};

TEST(ControllerScore, AKeptTraceIsTheForwardWalkToTheBit) {
  const int before = thread_count();
  for (const Setting& s : {recurrent(20, 7), macro(33, 11), micro(17, 6, 3), recurrent(3, 1)}) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      set_thread_count(1);
      const Drawn drawn(s, dtype);
      const Result walked = drawn.score(drawn.rollout.actions, nullptr);
      for (const int threads : {1, 2, 3}) {
        set_thread_count(threads);
        const Drawn again(s, dtype);
        const Result kept = drawn.score(drawn.rollout.actions, again.rollout.trace);
        const Result spared = again.score(again.rollout.actions, again.rollout.trace);
        for (const Result& result : {kept, spared}) {
          EXPECT_EQ(result.outputs, walked.outputs);
          EXPECT_EQ(result.gradients, walked.gradients);
        }
      }
      if (dtype == DType::f64) {
        EXPECT_EQ(walked.outputs[0], drawn.rollout.log_prob);
        EXPECT_EQ(walked.outputs[1], drawn.rollout.entropy);
      }
    }
  }
  set_thread_count(before);
}

// A value behind the version's back tells whether the forward walk was spared.
TEST(ControllerScore, ATraceIsUsedWhileWeightsAndChoicesAreItsOwn) {
  Drawn drawn(micro(9, 3), DType::f32);
  const std::vector<int32_t>& choices = drawn.rollout.actions;
  const Result before = drawn.score(choices, drawn.rollout.trace);
  drawn.tensors[3].data<float>()[5] += 1;
  EXPECT_EQ(drawn.score(choices, drawn.rollout.trace).outputs, before.outputs);
  const Result walked = drawn.score(choices, nullptr);
  ASSERT_NE(walked.outputs, before.outputs);
  std::vector<int32_t> others = choices;
  others[0] = 1 - others[0];
  EXPECT_EQ(drawn.score(others, drawn.rollout.trace).outputs, drawn.score(others, nullptr).outputs);
  Drawn same = drawn;
  same.setting.list.steps[2].temperature *= 2;
  EXPECT_EQ(same.score(choices, drawn.rollout.trace).outputs, same.score(choices, nullptr).outputs);
  same = drawn;
  same.tensors[3] = same.tensors[3].clone();
  EXPECT_EQ(same.score(choices, drawn.rollout.trace).outputs, walked.outputs);
  drawn.tensors[3].bump_version();
  EXPECT_EQ(drawn.score(choices, drawn.rollout.trace).outputs, walked.outputs);
}

TEST(ControllerScore, RefusesChoicesOfAnotherList) {
  const Setting s = recurrent(4, 1);
  std::vector<Var> x;
  for (const InputSpec& spec : inputs_of(s, 1)) x.emplace_back(Tensor::zeros(spec.shape));
  const auto refuses = [&](const std::vector<int32_t>& choices) {
    EXPECT_THROW(controller_score(vars_of(x), s.list, choices), Error);
    EXPECT_THROW(controller_record(vars_of(x), s.list, choices), Error);
  };
  refuses({});
  refuses({0, 0, 0, 0});
  refuses({0, 0, 0, 0, 0, 0});
  refuses({0, 3, 0, 0, 0});
  refuses({0, 0, 2, 0, 0});
  refuses({0, 0, 0, -1, 0});
}

}  // namespace
}  // namespace enas::test
