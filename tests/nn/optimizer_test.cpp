// Sgd and Adam over a store: who changes, who keeps its bits, gates, state; closed forms.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "nn/adam.h"
#include "nn/init.h"
#include "nn/parameter.h"
#include "nn/sgd.h"
#include "ops/grad_norm.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

using Values = std::vector<double>;
using State = std::map<std::string, Tensor>;
const Tensor kLoss = Tensor::from({1}, {1});
const Tensor kBadLoss = Tensor::from({NAN}, {1});

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.bytes() == b.bytes() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}
State cloned(const State& state) {
  State copy;
  for (const auto& [name, tensor] : state) copy[name] = tensor.clone();
  return copy;
}
bool same_state(const State& a, const State& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](auto& x, auto& y) {
           return x.first == y.first && same_bits(x.second, y.second);
         });
}
template <class Optimizer>
State state_of(const Optimizer& optimizer) {
  State out;
  optimizer.state(out, "opt.");
  return out;
}

// Three parameters a, b, c, initialised by name.
struct Model {
  ParameterStore store;
  explicit Model(int64_t n = 37, DType dtype = DType::f32) {
    for (const char* name : {"a", "b", "c"}) init_uniform(store.add(name, {n}, dtype), 1, 1);
  }
  Parameter& operator[](const char* name) { return store.get(name); }
  // Gradients as of a step k: values of another name's initialisation.
  void give_gradients(std::initializer_list<const char*> names, uint64_t step) {
    for (const char* name : names) {
      Parameter g;
      g.name = name;
      g.value = empty_like((*this)[name].value);
      init_normal(g, 1, 1000 + step);
      (*this)[name].grad = g.value;
    }
  }
  State values() {
    State out;
    for (const Parameter& p : store) out[p.name] = p.value.clone();
    return out;
  }
};

template <class Optimizer>
class OptimizerTest : public testing::Test {};
template <class Optimizer>
Optimizer make(double decay = 0.01, bool dense = false, double clip = 0.5);
template <>
Sgd make<Sgd>(double decay, bool dense, double clip) {
  return Sgd({.momentum = 0.9, .clip = clip, .decay = decay, .dense = dense});
}
template <>
Adam make<Adam>(double decay, bool dense, double clip) {
  return Adam({.clip = clip, .decay = decay, .dense = dense});
}
using Both = testing::Types<Sgd, Adam>;
TYPED_TEST_SUITE(OptimizerTest, Both);

TYPED_TEST(OptimizerTest, OnlyUsedParametersAndTheirSlotsChange) {
  Model model;
  TypeParam optimizer = make<TypeParam>();
  model.give_gradients({"a", "b", "c"}, 0);
  optimizer.step(model.store.all(), 0.1, kLoss);
  const State values = model.values(), slots = cloned(state_of(optimizer));
  model.give_gradients({"a", "c"}, 1);
  Parameter* const used[] = {&model["a"], &model["b"], &model["c"]};  // b without gradient
  optimizer.step(used, 0.1, kLoss);
  EXPECT_TRUE(same_bits(model["b"].value, values.at("b")));
  EXPECT_FALSE(same_bits(model["a"].value, values.at("a")));
  EXPECT_FALSE(same_bits(model["c"].value, values.at("c")));
  int touched = 0;
  for (const auto& [name, slot] : state_of(optimizer)) {
    const bool of_b = name.find("opt.b.") == 0;
    touched += of_b;
    EXPECT_EQ(same_bits(slot, slots.at(name)), of_b) << name;
  }
  EXPECT_GT(touched, 0);
}

TYPED_TEST(OptimizerTest, SlotsExistFromFirstUse) {
  Model model;
  TypeParam optimizer = make<TypeParam>();
  EXPECT_TRUE(state_of(optimizer).empty());
  model.give_gradients({"b"}, 0);
  optimizer.step(model.store.all(), 0.1, kLoss);
  for (const auto& [name, slot] : state_of(optimizer)) EXPECT_EQ(name.substr(0, 6), "opt.b.");
  EXPECT_FALSE(state_of(optimizer).empty());
}

TYPED_TEST(OptimizerTest, ConsumesGradientsAndRaisesVersions) {
  Model model;
  TypeParam optimizer = make<TypeParam>();
  model.give_gradients({"a"}, 0);
  const uint32_t a = model["a"].value.version(), b = model["b"].value.version();
  optimizer.step(model.store.all(), 0.1, kLoss);
  EXPECT_FALSE(model["a"].grad.defined());
  EXPECT_GT(model["a"].value.version(), a);
  EXPECT_EQ(model["b"].value.version(), b);
}

// Dense: a parameter without gradient decays and moves as with a gradient of zeros.
TYPED_TEST(OptimizerTest, DenseTreatsAbsentGradientsAsZero) {
  Model model, zeros;
  TypeParam dense = make<TypeParam>(0.01, true), plain = make<TypeParam>(0.01, false);
  for (uint64_t k = 0; k < 3; ++k) {
    model.give_gradients({"a", "b"}, k);
    zeros.give_gradients({"a", "b"}, k);
    if (k > 0) model["b"].grad = Tensor();
    if (k > 0) zeros["b"].grad = zeros_like(zeros["b"].value);
    zeros["c"].grad = zeros_like(zeros["c"].value);
    const State before = model.values();
    dense.step(model.store.all(), 0.1, kLoss);
    plain.step(zeros.store.all(), 0.1, kLoss);
    EXPECT_FALSE(same_bits(before.at("c"), model["c"].value));
    EXPECT_TRUE(same_state(model.values(), zeros.values())) << k;
  }
  EXPECT_TRUE(same_state(state_of(dense), state_of(plain)));
}

TYPED_TEST(OptimizerTest, ANonFiniteStepLeavesEveryBit) {
  Model model;
  TypeParam optimizer = make<TypeParam>();
  model.give_gradients({"a", "b", "c"}, 0);
  optimizer.step(model.store.all(), 0.1, kLoss);
  const State values = model.values(), slots = cloned(state_of(optimizer));
  model.give_gradients({"a", "b", "c"}, 1);
  Values poisoned = model["c"].grad.to_vector();
  poisoned.back() = INFINITY;
  model["c"].grad = Tensor::from(poisoned, {37});
  Tensor gate = optimizer.step(model.store.all(), 0.1, kLoss);
  EXPECT_EQ(gate.item(kGateFinite), 0);
  model.give_gradients({"a", "b", "c"}, 2);
  EXPECT_EQ(optimizer.step(model.store.all(), 0.1, kBadLoss).item(kGateFinite), 0);
  // Sticky: a finite step after a closed gate.
  model.give_gradients({"a", "b", "c"}, 3);
  gate = optimizer.step(model.store.all(), 0.1, kLoss, gate);
  EXPECT_EQ(gate.item(kGateFinite), 0);
  EXPECT_TRUE(same_state(model.values(), values));
  EXPECT_TRUE(same_state(state_of(optimizer), slots));
  // Without the former gate (policy skip) it goes on.
  model.give_gradients({"a", "b", "c"}, 3);
  EXPECT_EQ(optimizer.step(model.store.all(), 0.1, kLoss).item(kGateFinite), 1);
  EXPECT_FALSE(same_state(model.values(), values));
}

TYPED_TEST(OptimizerTest, StateContinuesToTheSameBits) {
  Model whole, parts;
  TypeParam first = make<TypeParam>(), second = make<TypeParam>(), third = make<TypeParam>();
  const auto run = [](Model& model, TypeParam& optimizer, uint64_t begin, uint64_t end) {
    for (uint64_t k = begin; k < end; ++k) {
      if (k % 2 == 0) model.give_gradients({"a", "b"}, k);
      if (k % 2 == 1) model.give_gradients({"b"}, k);
      optimizer.step(model.store.all(), 0.1, kLoss);
    }
  };
  run(whole, first, 0, 20);
  run(parts, second, 0, 9);
  third.load_state(state_of(second), "opt.");
  run(parts, third, 9, 20);
  EXPECT_TRUE(same_state(whole.values(), parts.values()));
  EXPECT_TRUE(same_state(state_of(first), state_of(third)));
  for (const auto& [name, slot] : state_of(second)) {
    EXPECT_FALSE(slot.same_storage(state_of(third).at(name))) << name;  // copies, not handles
  }
}

TYPED_TEST(OptimizerTest, StrangeStateIsRefused) {
  TypeParam optimizer = make<TypeParam>();
  EXPECT_THROW(optimizer.load_state({{"opt.a.velocity", Tensor::zeros({37})}}, "opt."), Error);
  EXPECT_THROW(optimizer.load_state({{"opt..t", Tensor::zeros({1}, DType::f64)}}, "opt."), Error);
  optimizer.load_state({{"other.a.velocity", Tensor::zeros({37})}}, "opt.");
  Model small(5), large(37);
  small.give_gradients({"a"}, 0);
  optimizer.step(small.store.all(), 0.1, kLoss);
  large.give_gradients({"a"}, 0);
  try {
    optimizer.step(large.store.all(), 0.1, kLoss);
    FAIL() << "state of another shape was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::checkpoint);
  }
}

TYPED_TEST(OptimizerTest, SameBitsForAnyThreads) {
  const int before = thread_count();
  State want;
  for (const int threads : {1, 2, 3, 4, 8}) {
    set_thread_count(threads);
    Model model(100003);
    TypeParam optimizer = make<TypeParam>();
    for (uint64_t k = 0; k < 2; ++k) {
      model.give_gradients({"a", "b", "c"}, k);
      optimizer.step(model.store.all(), 0.1, kLoss);
    }
    if (threads == 1) want = model.values();
    EXPECT_TRUE(same_state(model.values(), want)) << threads;
  }
  set_thread_count(before);
}

TYPED_TEST(OptimizerTest, DecayReachesOnlyWhatThePredicateNames) {
  auto options = make<TypeParam>().options();
  options.decay = 0.5;
  options.clip = 0;
  options.decays = [](const Parameter& p) { return p.name == "b"; };
  TypeParam optimizer(options);
  Model model;
  const State before = model.values();
  for (Parameter& p : model.store) p.grad = zeros_like(p.value);
  optimizer.step(model.store.all(), 0.1, kLoss);
  EXPECT_TRUE(same_bits(model["a"].value, before.at("a")));
  EXPECT_FALSE(same_bits(model["b"].value, before.at("b")));
}

TYPED_TEST(OptimizerTest, ClippingBoundsTheGradientOverAllParameters) {
  Model model(37, DType::f64);
  TypeParam optimizer = make<TypeParam>(0, false, 2.0);
  model.give_gradients({"a", "b", "c"}, 0);
  double square = 0;
  for (const Parameter& p : model.store) {
    for (const double g : p.grad.to_vector()) square += g * g;
  }
  const Tensor gate = optimizer.step(model.store.all(), 0.1, kLoss);
  EXPECT_NEAR(gate.item(kGateNorm), std::sqrt(square), 1e-12);
  EXPECT_NEAR(gate.item(kGateFactor), 2 / (std::sqrt(square) + 1e-6), 1e-14);
}

Parameter scalar(double value, double grad) {
  Parameter p;
  p.name = "w";
  p.value = Tensor::from({value}, {1}, DType::f64);
  p.grad = Tensor::from({grad}, {1}, DType::f64);
  return p;
}

// A constant gradient g: momentum sums to g (1 - mu^k) / (1 - mu).
TEST(Sgd, MomentumClosedForm) {
  for (const bool nesterov : {false, true}) {
    Sgd sgd({.momentum = 0.75, .nesterov = nesterov});
    Parameter p = scalar(0, 0);
    Parameter* const used[] = {&p};
    double expected = 0;
    for (int k = 1; k <= 30; ++k) {
      p.grad = Tensor::from({2}, {1}, DType::f64);
      sgd.step(used, 0.1, kLoss);
      const double b = 2 * (1 - std::pow(0.75, k)) / 0.25;
      expected -= 0.1 * (nesterov ? 2 + 0.75 * b : b);
      EXPECT_NEAR(p.value.item(), expected, 1e-12);
    }
  }
}

// Pure decay: w_k = w_0 (1 - lr decay)^k.
TEST(Sgd, DecayClosedForm) {
  Sgd sgd({.decay = 0.5});
  Parameter p = scalar(3, 0);
  Parameter* const used[] = {&p};
  for (int k = 1; k <= 20; ++k) {
    p.grad = Tensor::zeros({1}, DType::f64);
    sgd.step(used, 0.1, kLoss);
    EXPECT_NEAR(p.value.item(), 3 * std::pow(0.95, k), 1e-12);
  }
  State state;
  sgd.state(state, "");
  EXPECT_TRUE(state.empty());  // no momentum, no slots
}

// Decay is part of the clipped gradient.
TEST(Sgd, DecayIsClippedWithTheGradient) {
  Sgd sgd({.clip = 1, .decay = 2});
  Parameter p = scalar(3, 4);
  Parameter* const used[] = {&p};
  const Tensor gate = sgd.step(used, 1, kLoss);
  EXPECT_EQ(gate.item(kGateNorm), 10);
  EXPECT_NEAR(p.value.item(), 3 - 10 / (10 + 1e-6), 1e-12);
}

// A constant gradient: both bias-corrected moments are exact, each step is lr g / (|g| + epsilon).
TEST(Adam, ConstantGradientClosedForm) {
  for (const double grad : {4.0, -1e-3}) {
    Adam adam;
    Parameter p = scalar(0, 0);
    Parameter* const used[] = {&p};
    for (int k = 1; k <= 50; ++k) {
      p.grad = Tensor::from({grad}, {1}, DType::f64);
      adam.step(used, 0.01, kLoss);
      EXPECT_NEAR(p.value.item(), -0.01 * k * grad / (std::fabs(grad) + 1e-8), 1e-12);
    }
    State state;
    adam.state(state, "x.");
    EXPECT_EQ(state.at("x.w.t").item(), 50);
    EXPECT_NEAR(state.at("x.w.m").item(), grad * (1 - std::pow(0.9, 50)), 1e-12);
    EXPECT_NEAR(state.at("x.w.v").item(), grad * grad * (1 - std::pow(0.999, 50)), 1e-12);
  }
}

TEST(Optimizers, RefuseOptionsOutOfRange) {
  EXPECT_THROW(Sgd({.momentum = 1}), Error);
  EXPECT_THROW(Sgd({.nesterov = true}), Error);
  EXPECT_THROW(Sgd({.clip = -1}), Error);
  EXPECT_THROW(Adam({.beta1 = 1}), Error);
  EXPECT_THROW(Adam({.epsilon = 0}), Error);
  EXPECT_THROW(Adam({.decay = -1}), Error);
}

}  // namespace
}  // namespace enas
