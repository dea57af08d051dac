#include "ops/sum_of.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/ops/image_reference.h"

namespace enas::test {
namespace {

constexpr double kEpsilon = 1e-3;

enum class Kind { plain, norm, norm_relu };
struct TermCase {
  Kind kind = Kind::plain;
  bool keep = false;
};

// Inputs of each term: x, then scale and offset of a normalised one, then keep where it has one.
struct SumCase {
  Shape shape;
  std::vector<TermCase> terms;
  bool stats = false, bench = false;
};

std::vector<InputSpec> sum_inputs(const SumCase& s) {
  std::vector<InputSpec> inputs;
  for (const TermCase& t : s.terms) {
    inputs.push_back(in(s.shape));
    if (t.kind != Kind::plain) {
      inputs.push_back(in({s.shape[-1]}, 0.5, 1.5));
      inputs.push_back(in({s.shape[-1]}));
    }
    if (t.keep) inputs.push_back(constant({s.shape[0]}, 0, 2));
  }
  return inputs;
}

RawConv run_sum(const SumCase& s, const std::vector<Var>& x) {
  std::vector<Term> terms;
  size_t at = 0;
  for (const TermCase& t : s.terms) {
    Term term;
    term.x = x[at++];
    if (t.kind != Kind::plain) {
      term.deferred = deferred(term.x, x[at], x[at + 1], kEpsilon, t.kind == Kind::norm_relu);
      at += 2;
    }
    if (t.keep) term.keep = x[at++].value();
    terms.push_back(term);
  }
  return sum_of(terms, s.stats);
}

// The terms before their relu and factor.
std::vector<Values> loaded(const SumCase& s, const std::vector<Values>& in) {
  std::vector<Values> z;
  size_t at = 0;
  for (const TermCase& t : s.terms) {
    const Values& x = in[at++];
    if (t.kind == Kind::plain) {
      z.push_back(x);
    } else {
      z.push_back(ref_norm(x, ref_stats(x, in[at].size()), in[at], in[at + 1], kEpsilon));
      at += 2;
    }
    if (t.keep) ++at;
  }
  return z;
}

std::vector<Values> sum_reference(const SumCase& s, const std::vector<Values>& in) {
  const std::vector<Values> z = loaded(s, in);
  Values y(z[0].size(), 0);
  const auto example = y.size() / static_cast<size_t>(s.shape[0]);
  size_t at = 0;
  for (size_t k = 0; k < s.terms.size(); ++k) {
    const TermCase& t = s.terms[k];
    at += t.kind == Kind::plain ? 1 : 3;
    const Values value = t.kind == Kind::norm_relu ? ref_relu(z[k]) : z[k];
    for (size_t i = 0; i < y.size(); ++i) y[i] += value[i] * (t.keep ? in[at][i / example] : 1);
    if (t.keep) ++at;
  }
  if (!s.stats || s.bench) return {y};
  return ref_with_stats(y, static_cast<size_t>(s.shape[-1]));
}

OpCase sum_case(std::string label, const SumCase& s) {
  OpCase c;
  c.label = std::move(label);
  c.inputs = sum_inputs(s);
  c.op = [s](Tape&, const std::vector<Var>& x) {
    const RawConv y = run_sum(s, x);
    return s.stats && !s.bench ? with_stats(y) : std::vector<Var>{y.y};
  };
  c.reference = [s](const std::vector<Values>& in) { return sum_reference(s, in); };
  const bool large = s.shape.numel() > 4000;
  const auto kinked = [](const TermCase& t) { return t.kind == Kind::norm_relu; };
  if (std::any_of(s.terms.begin(), s.terms.end(), kinked) && !large) {
    c.kink_margin = [s](const std::vector<Values>& in) {
      const std::vector<Values> z = loaded(s, in);
      double least = 1e30;
      for (size_t k = 0; k < z.size(); ++k) {
        if (s.terms[k].kind == Kind::norm_relu) least = std::min(least, smallest(z[k]));
      }
      return least;
    };
  }
  c.check = {.step = 1e-4, .relative = 1e-7};
  if (large) c.check = {.step = 1e-6, .relative = 1e-2, .most_elements = 1}, c.draws = 1;
  c.sum_length = s.shape.numel() / s.shape[-1];
  c.f64_relative = 1e-11;
  c.bench = s.bench;
  c.flops = static_cast<double>(s.shape.numel()) * static_cast<double>(2 * s.terms.size());
  c.bytes = static_cast<double>(s.shape.numel()) * static_cast<double>(4 * (s.terms.size() + 1));
  return c;
}

OP_CASES(sum_of, sum_case("2_plain_2x7x5x5", {{2, 7, 5, 5}, {{}, {}}}),
         sum_case("1_plain_stats_2x3x17", {{2, 3, 17}, {{}}, true}),
         sum_case("3_plain_stats_2x7x5x5", {{2, 7, 5, 5}, {{}, {}, {}}, true}),
         sum_case("norm_and_plain_2x7x5x5", {{2, 7, 5, 5}, {{Kind::norm}, {}}}),
         sum_case("norm_relu_keep_3x3x4x5",
                  {{3, 3, 4, 5}, {{Kind::norm_relu, true}, {Kind::plain, true}}, true}),
         sum_case("2_norm_keep_3x3x4x17", {{3, 3, 4, 17}, {{Kind::norm, true}, {Kind::norm}}}),
         sum_case("norm_relu_1_3x4x4x8", {{3, 4, 4, 8}, {{Kind::norm_relu}}}),
         sum_case("5_8x16x16x36", {{8, 16, 16, 36}, {{Kind::norm_relu}, {}, {}, {}, {}}, true}),
         sum_case("2_norm_16x32x32x20",
                  {{16, 32, 32, 20}, {{Kind::norm}, {Kind::norm}}, false, true}),
         sum_case("2_plain_stats_16x32x32x36", {{16, 32, 32, 36}, {{}, {}}, true, true}));

TEST(SumOf, ASinglePlainTermIsItself) {
  const Tensor x = Tensor::full({2, 3}, 5);
  EXPECT_TRUE(sum_of({Term{x, {}, {}}}, false).y.value().same_storage(x));
}

TEST(SumOf, TheSameTermTwiceCountsTwice) {
  Tape tape;
  const Var x = tape.variable(Tensor::full({2, 3}, 5));
  const Tensor keep = Tensor::from({0, 2}, {2});
  const Var y = sum_of({Term{x, {}, {}}, Term{x, {}, keep}}, false).y;
  EXPECT_EQ(y.value().to_vector(), (Values{5, 5, 5, 15, 15, 15}));
  tape.backward(y);
  EXPECT_EQ(tape.gradient(x).to_vector(), (Values{1, 1, 1, 3, 3, 3}));
}

TEST(SumOf, RefusesTermsThatDoNotFit) {
  const Tensor x = Tensor::zeros({2, 3});
  EXPECT_THROW(sum_of(std::vector<Term>{}, false), Error);
  EXPECT_THROW(sum_of({Term{x, {}, {}}, Term{Tensor::zeros({2, 4}), {}, {}}}, false), Error);
  EXPECT_THROW(sum_of({Term{x, {}, Tensor::zeros({3})}}, false), Error);
}

}  // namespace
}  // namespace enas::test
