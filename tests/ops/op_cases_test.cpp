// Runs every registered op case in each of its uses; each is a test of its own, named
// OpCases/<use>.<family>/<label>.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <utility>

#include "tensor/isa.h"
#include "tensor/philox.h"
#include "tensor/thread_pool.h"
#include "tests/op_cases.h"

namespace enas::test {
namespace {

int64_t largest_input(const OpCase& c) {
  int64_t elements = 0;
  for (const InputSpec& spec : c.inputs) elements = std::max(elements, spec.shape.numel());
  return elements;
}
int draws_of(const OpCase& c) { return c.draws > 0 ? c.draws : largest_input(c) <= 2000 ? 20 : 2; }

double largest(const Tensor& t) {
  double most = 0;
  visit_any(t.dtype(), [&](auto tag) {
    const auto* values = t.data<decltype(tag)>();
    for (int64_t i = 0; i < t.numel(); ++i) most = std::max(most, std::fabs(to_double(values[i])));
  });
  return most;
}

// scales: of each element; none: the largest finite value of all. Tensors are read in place: the
// larger ones have 22 million elements.
template <class T>
void expect_near(const T* have, const double* want, size_t n, double relative,
                 const std::string& what, const Values& scales) {
  double largest = 0;
  for (size_t i = 0; i < n && scales.empty(); ++i) {
    const double v = std::fabs(want[i]);
    if (v > largest && std::isfinite(v)) largest = v;
  }
  for (size_t i = 0; i < n; ++i) {
    const double got = to_double(have[i]), expected = want[i];
    if (got == expected) continue;  // infinities too
    const double bound = relative * std::max(scales.empty() ? largest : scales[i], 1e-30);
    if (!(std::fabs(got - expected) <= bound)) {
      FAIL() << what << " element " << i << ": " << got << ", expected " << expected << " within "
             << bound;
    }
  }
}
void expect_near(const Tensor& got, const Values& want, double relative, const std::string& what) {
  ASSERT_EQ(static_cast<size_t>(got.numel()), want.size()) << what;
  visit_any(got.dtype(), [&](auto tag) {
    expect_near(got.data<decltype(tag)>(), want.data(), want.size(), relative, what, {});
  });
}
void expect_near(const Tensor& got, const Tensor& want, double relative, const std::string& what,
                 const Values& scales) {
  ASSERT_EQ(got.numel(), want.numel()) << what;
  const Values integers = want.dtype() == DType::f64 ? Values() : want.to_vector();
  const double* values = integers.empty() ? want.data<double>() : integers.data();
  visit_any(got.dtype(), [&](auto tag) {
    expect_near(got.data<decltype(tag)>(), values, static_cast<size_t>(want.numel()), relative,
                what, scales);
  });
}

// Use 1: the f64 path against the naive reference.
void value_use(const OpCase& c) {
  ASSERT_TRUE(c.reference) << "a case needs a reference";
  for (int draw = 0; draw < std::min(draws_of(c), 3); ++draw) {
    const std::vector<Tensor> inputs = draw_inputs(c, static_cast<uint64_t>(draw));
    std::vector<Values> values;
    for (const Tensor& x : inputs) values.push_back(x.to_vector());
    const std::vector<Values> want = c.reference(values);
    const Outcome got = run_case(c, inputs);
    ASSERT_EQ(got.outputs.size(), want.size());
    for (size_t k = 0; k < want.size(); ++k) {
      expect_near(got.outputs[k], want[k], c.exact ? 0 : c.f64_relative,
                  "output " + std::to_string(k));
    }
  }
}

// Backward along one random direction v of all inputs at once, |<g, v> - slope| <= 1e-3 |g|: of a
// large row every element matters, where differences of single elements see a few. The step is
// short where there are kinks, which some of many elements are near.
void gradient_along(const OpCase& c, const GradCheckFunction& f, const std::vector<Tensor>& at) {
  const double step = c.check.step > 5e-5 ? 1e-5 : 1e-8;
  Tape tape;
  std::vector<Var> vars;
  for (const Tensor& x : at) vars.push_back(tape.variable(x));
  tape.backward(f(tape, vars));
  std::vector<Var> up, down;
  double along = 0, squares = 0;
  for (size_t i = 0; i < at.size(); ++i) {
    const Tensor g = tape.gradient(vars[i]);
    Tensor more = at[i].clone(), less = at[i].clone();
    ASSERT_TRUE(g.defined()) << "input " << i;
    const Random random{55 + i, Stream::test, 0};
    for (int64_t k = 0; k < g.numel(); ++k) {
      const double v = 2 * static_cast<double>(random.uniform(static_cast<uint64_t>(k))) - 1;
      const double slope = std::as_const(g).data<double>()[k];
      along += slope * v, squares += slope * slope;
      more.data<double>()[k] += step * v, less.data<double>()[k] -= step * v;
    }
    up.emplace_back(more), down.emplace_back(less);
  }
  Tape scratch;
  const Tape::NoGrad no_grad(scratch);
  const double rise = f(scratch, up).value().item() - f(scratch, down).value().item();
  ASSERT_GT(squares, 0);
  EXPECT_NEAR(rise / (2 * step), along, 1e-3 * std::sqrt(squares));
}

// Use 2: backward against differences, f64.
void gradient_use(const OpCase& c) {
  for (int draw = 0; draw < draws_of(c); ++draw) {
    const std::vector<Tensor> inputs = draw_inputs(c, static_cast<uint64_t>(draw));
    // Constants of the case stay constants: they enter through the closure.
    std::vector<Tensor> differentiable;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (c.inputs[i].grad && is_floating(inputs[i].dtype())) differentiable.push_back(inputs[i]);
    }
    const auto f = [&](Tape& tape, const std::vector<Var>& vars) {
      std::vector<Var> all;
      size_t next = 0;
      for (size_t i = 0; i < inputs.size(); ++i) {
        all.push_back(c.inputs[i].grad && is_floating(inputs[i].dtype()) ? vars[next++]
                                                                         : Var(inputs[i]));
      }
      return weighted_sum(c.op(tape, all));
    };
    if (c.bench && largest_input(c) > 1 << 16) return gradient_along(c, f, differentiable);
    ASSERT_EQ(grad_check(f, differentiable, c.check), "") << "draw " << draw;
  }
}

// The scales of a case's f32 bound, of each tensor of `want`; empty ones: the tensor's largest.
struct Scales {
  std::vector<Values> outputs, gradients;
};
Scales scales_of(const OpCase& c, const std::vector<Tensor>& inputs, const Outcome& want) {
  Scales scales{std::vector<Values>(want.outputs.size()),
                std::vector<Values>(want.gradients.size())};
  if (c.f32_bound == F32Bound::tensor) return scales;
  const Outcome from = c.f32_bound == F32Bound::sums ? run_absolute(c, inputs) : want;
  const auto absolute = [](const Tensor& t) {
    Values values = t.to_vector();
    for (double& v : values) v = std::fabs(v);
    return values;
  };
  std::transform(from.outputs.begin(), from.outputs.end(), scales.outputs.begin(), absolute);
  if (c.f32_bound == F32Bound::element_forward) return scales;
  std::transform(from.gradients.begin(), from.gradients.end(), scales.gradients.begin(), absolute);
  return scales;
}

// Use 3: f32 on every instruction set against f64 from the same (f32-rounded) inputs.
void f32_use(const OpCase& c) {
  const std::vector<Tensor> narrow = as_dtype(draw_inputs(c, 0), DType::f32);
  const Outcome want = run_case(c, as_dtype(narrow, DType::f64));
  const Scales scales = scales_of(c, as_dtype(narrow, DType::f64), want);
  const double relative = 4.0 * static_cast<double>(c.sum_length + 8) * 0x1p-24;
  const Isa before = isa();
  for (const Isa path : available_isas()) {
    set_isa(path);
    const Outcome got = run_case(c, narrow);
    set_isa(before);
    const std::string name(name_of(path));
    for (size_t k = 0; k < want.outputs.size(); ++k) {
      expect_near(got.outputs[k], want.outputs[k], c.exact ? 0 : relative,
                  name + " output " + std::to_string(k), scales.outputs[k]);
    }
    for (size_t k = 0; k < want.gradients.size(); ++k) {
      ASSERT_EQ(got.gradients[k].dtype(), DType::f32);
      expect_near(got.gradients[k], want.gradients[k], relative,
                  name + " gradient " + std::to_string(k), scales.gradients[k]);
      if (largest(want.gradients[k]) > 0) {
        ASSERT_GT(largest(got.gradients[k]), 0);
      }
    }
  }
}

// Use 4: the inputs have gradients already, from a use recorded after the op: its backward adds to
// them, in f64 and on every instruction set in f32.
void adds_use(const OpCase& c) {
  const auto beside = [&c](bool detached) {
    OpCase with = c;
    with.op = [&c, detached](Tape& tape, const std::vector<Var>& x) {
      std::vector<Var> all = c.op(tape, x);
      if (detached) {
        for (Var& y : all) y = Var(y.value());
      }
      std::copy_if(x.begin(), x.end(), std::back_inserter(all),
                   [](const Var& v) { return v.has_grad(); });
      return all;
    };
    return with;
  };
  const std::vector<Tensor> narrow = as_dtype(draw_inputs(c, 0), DType::f32);
  const std::vector<Tensor> wide = as_dtype(narrow, DType::f64);
  const std::vector<Tensor> alone = run_case(c, wide).gradients;
  const std::vector<Tensor> other = run_case(beside(true), wide).gradients;
  const auto expect_sums = [&](const std::vector<Tensor>& got, double relative,
                               const std::string& path) {
    ASSERT_EQ(got.size(), alone.size());
    for (size_t k = 0; k < got.size(); ++k) {
      Values want = alone[k].to_vector(), rest = other[k].to_vector();
      for (size_t i = 0; i < want.size(); ++i) want[i] += rest[i];
      expect_near(got[k], want, relative, path + " gradient " + std::to_string(k));
    }
  };
  expect_sums(run_case(beside(false), wide).gradients, 1e-12, "f64");
  const Isa before = isa();
  for (const Isa path : available_isas()) {
    set_isa(path);
    const Outcome got = run_case(beside(false), narrow);
    set_isa(before);
    expect_sums(got.gradients, 4.0 * static_cast<double>(c.sum_length + 8) * 0x1p-24,
                std::string(name_of(path)));
  }
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

// Use 6: the same bits for every number of threads, with poisoned memory.
void threads_use(const OpCase& c) {
  const std::vector<Tensor> inputs = as_dtype(draw_inputs(c, 1), DType::f32);
  const int before = thread_count();
  set_thread_count(1);
  const Outcome want = run_case(c, inputs);
  memory_pool().set_poison(true);
  for (const int threads : {1, 2, 3, 4, 8}) {
    set_thread_count(threads);
    const Outcome got = run_case(c, inputs);
    for (size_t k = 0; k < want.outputs.size(); ++k) {
      EXPECT_TRUE(same_bits(got.outputs[k], want.outputs[k]))
          << threads << " threads, output " << k;
    }
    for (size_t k = 0; k < want.gradients.size(); ++k) {
      EXPECT_TRUE(same_bits(got.gradients[k], want.gradients[k]))
          << threads << " threads, gradient " << k;
    }
  }
  memory_pool().set_poison(false);
  set_thread_count(before);
}

class CaseTest : public testing::Test {
 public:
  CaseTest(void (*use)(const OpCase&), const OpCase* op_case) : use_(use), case_(op_case) {}
  void TestBody() override { use_(*case_); }

 private:
  void (*use_)(const OpCase&);
  const OpCase* case_;
};

void register_use(const char* use, const OpFamily& family, const OpCase& c,
                  void (*body)(const OpCase&)) {
  testing::RegisterTest((std::string("OpCases_") + use).c_str(),
                        (family.name + "/" + c.label).c_str(), nullptr, nullptr, __FILE__, __LINE__,
                        [body, &c]() -> testing::Test* { return new CaseTest(body, &c); });
}

// Functions of ops/*.h that cases of their own cannot test, and where they are tested: under other
// names, or because they have no tensor to draw.
const std::map<std::string, std::vector<std::string>> kOtherFamilies = {
    {"optimizer_update", {"sgd_update", "adam_update"}}};
const std::map<std::string, std::string> kOtherTests = {
    {"controller_rollout", "controller_rollout_test.cpp"},
    {"choice_counts", "controller_rollout_test.cpp"},
    {"offsets_of", "controller_rollout_test.cpp"},
    {"dropout_mask", "dropout_test.cpp"}};
// Headers of parts that several ops are made of, tested through these.
const std::set<std::string> kParts = {"cell_input.h",
                                      "weight_gradient.h",
                                      "update_pieces.h",
                                      "row_statistics.h",
                                      "row_sums.simd.h",
                                      "panels.h",
                                      "controller_plan.h",
                                      "controller_walk.h",
                                      "controller_score_kernels.h",
                                      "controller_score_walk.h",
                                      "doubles.simd.h"};

// The functions declared in a header outside its cpu and cuda namespaces, without inline ones and
// templates.
std::vector<std::string> declared_ops(std::istream& header) {
  static const std::regex declaration(
      R"(^(?:Var|Tensor|void|std::vector<\w+>|[A-Z]\w*)\s+(\w+)\()");
  std::vector<std::string> names;
  bool kernels = false, is_template = false;
  for (std::string line; std::getline(header, line);) {
    std::smatch match;
    if (line.rfind("namespace cpu", 0) == 0 || line.rfind("namespace cuda", 0) == 0) kernels = true;
    if (line[0] == '}') kernels = false;
    if (!kernels && !is_template && std::regex_search(line, match, declaration))
      names.push_back(match[1]);
    is_template = line.rfind("template", 0) == 0;
  }
  return names;
}

// Every op declared in ops/*.h, whatever it returns, must have a family of cases of its name.
TEST(OpCasesCoverage, EveryDeclaredOpHasCases) {
  std::set<std::string> registered;
  for (const OpFamily& family : op_families()) registered.insert(family.name);
  const std::string root = ENAS_SOURCE_DIR;
  std::string missing;
  std::set<std::string> declared;
  for (const auto& entry : std::filesystem::directory_iterator(root + "/ops")) {
    const std::string header = entry.path().filename();
    if (entry.path().extension() != ".h" || kParts.count(header)) continue;
    std::ifstream file(entry.path());
    for (const std::string& name : declared_ops(file)) {
      declared.insert(name);
      const auto other = kOtherFamilies.find(name);
      const std::vector<std::string> families =
          other == kOtherFamilies.end() ? std::vector<std::string>{name} : other->second;
      const bool covered =
          kOtherTests.count(name) != 0 ||
          std::all_of(families.begin(), families.end(),
                      [&](const std::string& family) { return registered.count(family) != 0; });
      if (!covered) missing += " " + name + " (" + header + ")";
    }
  }
  EXPECT_EQ(missing, "") << "ops without OP_CASES";
  for (const char* name : {"softmax", "lstm_cell", "sample_categorical", "gate_state", "grad_norm"})
    EXPECT_TRUE(declared.count(name)) << name << " was not seen";
  for (const auto& [name, test] : kOtherTests) {
    EXPECT_TRUE(declared.count(name)) << name << " is gone";
    EXPECT_TRUE(std::filesystem::exists(root + "/tests/ops/" + test)) << test;
  }
  for (const std::string& header : kParts)
    EXPECT_TRUE(std::filesystem::exists(root + "/ops/" + header)) << header;
}

}  // namespace

void register_op_case_tests() {
  for (const OpFamily& family : op_families()) {
    for (const OpCase& c : family.cases) {
      register_use("Value", family, c, value_use);
      if (c.gradient) register_use("Gradient", family, c, gradient_use);
      register_use("F32EveryIsa", family, c, f32_use);
      if (c.gradient && largest_input(c) <= 1 << 20) {  // larger ones take seconds
        register_use("AddsToGradients", family, c, adds_use);
      }
      register_use("SameBitsAnyThreads", family, c, threads_use);
    }
  }
}

}  // namespace enas::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  enas::test::register_op_case_tests();
  return RUN_ALL_TESTS();
}
