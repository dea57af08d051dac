#include "ops/optimizer_update.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tensor/isa.h"
#include "tensor/philox.h"
#include "tests/op_cases.h"

namespace enas::test {
namespace {

constexpr double kFactor = 0.5, kDecay = 0.25, kLr = 0.375;
constexpr double kStep = 3;  // Adam's t before the update

Tensor gate_of(double factor, double finite = 1, Device device = Device::cpu) {
  return Tensor::from({1, factor, finite, 0}, {kGateSize}, DType::f64).to(device);
}

// Inputs: value, grad, slot0, slot1. The op works on copies, so that a case can be run twice.
UpdateItem item_of(const std::vector<Var>& x, bool dense) {
  UpdateItem item;
  item.value = x[0].value().clone();
  if (!dense) item.grad = x[1].value();
  item.slot0 = x[2].value().clone();
  item.slot1 = x[3].value().clone();
  item.decay = kDecay;
  item.step = Tensor::from({kStep}, {1}, DType::f64).to(item.value.device());
  return item;
}
std::vector<InputSpec> update_inputs(const Shape& shape) {
  return {in(shape), in(shape), in(shape), in(shape, 0.25, 1)};
}
OpFunction sgd_op(SgdRule rule, bool dense = false) {
  return [=](Tape&, const std::vector<Var>& x) {
    UpdateItem item = item_of(x, dense);
    optimizer_update(rule, {&item, 1}, gate_of(kFactor, 1, item.value.device()));
    return std::vector<Var>{item.value, item.slot0};
  };
}
Reference sgd_reference(SgdRule rule, bool dense = false) {
  return [=](const std::vector<Values>& in) {
    Values value = in[0], slot = in[2];
    for (size_t i = 0; i < value.size(); ++i) {
      const double d = kFactor * ((dense ? 0 : in[1][i]) + kDecay * in[0][i]);
      if (rule.momentum != 0) slot[i] = rule.momentum * in[2][i] + d;
      const double move = rule.momentum == 0 ? d
                          : rule.nesterov    ? d + rule.momentum * slot[i]
                                             : slot[i];
      value[i] = in[0][i] - rule.lr * move;
    }
    return std::vector<Values>{value, slot};
  };
}
OpFunction adam_op(AdamRule rule, bool dense = false) {
  return [=](Tape&, const std::vector<Var>& x) {
    UpdateItem item = item_of(x, dense);
    optimizer_update(rule, {&item, 1}, gate_of(kFactor, 1, item.value.device()));
    return std::vector<Var>{item.value, item.slot0, item.slot1, item.step};
  };
}
Reference adam_reference(AdamRule rule, bool dense = false) {
  return [=](const std::vector<Values>& in) {
    Values value = in[0], m = in[2], v = in[3];
    const double t = kStep + 1;
    for (size_t i = 0; i < value.size(); ++i) {
      const double d = kFactor * ((dense ? 0 : in[1][i]) + kDecay * in[0][i]);
      m[i] = rule.beta1 * in[2][i] + (1 - rule.beta1) * d;
      v[i] = rule.beta2 * in[3][i] + (1 - rule.beta2) * d * d;
      const double m_hat = m[i] / (1 - std::pow(rule.beta1, t));
      const double v_hat = v[i] / (1 - std::pow(rule.beta2, t));
      value[i] = in[0][i] - rule.lr * m_hat / (std::sqrt(v_hat) + rule.epsilon);
    }
    return std::vector<Values>{value, m, v, {t}};
  };
}

OpCase sgd_case(std::string label, const Shape& shape, SgdRule rule, bool dense = false) {
  OpCase c;
  c.label = std::move(label);
  c.inputs = update_inputs(shape);
  c.op = sgd_op(rule, dense);
  c.reference = sgd_reference(rule, dense);
  c.gradient = false;
  c.bytes = static_cast<double>(shape.numel() * 4 * (rule.momentum == 0 ? 3 : 5));
  return c;
}
OpCase adam_case(std::string label, const Shape& shape, AdamRule rule, bool dense = false) {
  OpCase c = sgd_case(std::move(label), shape, {.lr = kLr}, dense);
  c.op = adam_op(rule, dense);
  c.reference = adam_reference(rule, dense);
  c.bytes = static_cast<double>(shape.numel() * 4 * 7);
  return c;
}
OpCase with_bench(OpCase c) {
  c.bench = true;
  return c;
}

OP_CASES(sgd_update, sgd_case("37_plain", {37}, {.lr = kLr}),
         sgd_case("37_momentum", {37}, {.lr = kLr, .momentum = 0.875}),
         sgd_case("5x7_nesterov", {5, 7}, {.lr = kLr, .momentum = 0.875, .nesterov = true}),
         sgd_case("37_plain_dense", {37}, {.lr = kLr}, true),
         sgd_case("37_momentum_dense", {37}, {.lr = kLr, .momentum = 0.875}, true),
         with_bench(sgd_case("100003_momentum", {100003}, {.lr = kLr, .momentum = 0.875})));
OP_CASES(adam_update, adam_case("37", {37}, {.lr = kLr}),
         adam_case("5x7_beta1_0", {5, 7}, {.lr = kLr, .beta1 = 0, .epsilon = 1e-3}),
         adam_case("37_dense", {37}, {.lr = kLr, .beta2 = 0.5}, true),
         with_bench(adam_case("100003", {100003}, {.lr = kLr})));

OpFunction average_op(double count) {
  return [=](Tape&, const std::vector<Var>& x) {
    AverageItem item{x[0].value(), x[1].value().clone()};
    const Device device = item.value.device();
    Tensor n = Tensor::from({count}, {1}, DType::f64).to(device);
    average_update({&item, 1}, n, gate_of(kFactor, 1, device));
    return std::vector<Var>{item.average, n};
  };
}
Reference average_reference(double count) {
  return [=](const std::vector<Values>& in) {
    Values mean = in[1];
    for (size_t i = 0; i < mean.size(); ++i) mean[i] = (mean[i] * count + in[0][i]) / (count + 1);
    return std::vector<Values>{mean, {count + 1}};
  };
}
OP_CASES(average_update,
         {.label = "37_first",
          .inputs = {in({37}), in({37})},
          .op = average_op(0),
          .reference = average_reference(0),
          .gradient = false},
         {.label = "100003_sixth",
          .inputs = {in({100003}), in({100003})},
          .op = average_op(5),
          .reference = average_reference(5),
          .gradient = false,
          .bench = true,
          .flops = 3e5,
          .bytes = 12e5});

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.bytes() == b.bytes() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

// Random items; `keep` are copies to compare with.
struct Bundle {
  std::vector<UpdateItem> items, keep;
};
Bundle random_bundle(DType dtype) {
  Bundle bundle;
  for (uint64_t k = 0; k < 3; ++k) {
    UpdateItem item;
    const auto draw = [&](uint64_t stream) {
      Values values(40);
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<double>(Random{k, Stream::test, stream}.uniform(i));
      }
      return Tensor::from(values, {40}, dtype);
    };
    item.value = draw(0), item.grad = draw(1), item.slot0 = draw(2), item.slot1 = draw(3);
    item.decay = 0.1;
    item.step = Tensor::from({2}, {1}, DType::f64);
    UpdateItem copy;
    copy.value = item.value.clone(), copy.slot0 = item.slot0.clone();
    copy.slot1 = item.slot1.clone(), copy.step = item.step.clone();
    bundle.items.push_back(item);
    bundle.keep.push_back(copy);
  }
  return bundle;
}
int changed(const Bundle& b) {
  int count = 0;
  for (size_t k = 0; k < b.items.size(); ++k) {
    const UpdateItem &x = b.items[k], &y = b.keep[k];
    count += !same_bits(x.value, y.value) + !same_bits(x.slot0, y.slot0) +
             !same_bits(x.slot1, y.slot1) + !same_bits(x.step, y.step);
  }
  return count;
}

TEST(OptimizerUpdate, AClosedGateLeavesEveryBit) {
  const Tensor fine = Tensor::from({1}, {1}), bad_loss = Tensor::from({NAN}, {1});
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const bool adam : {false, true}) {
      for (int poison = 0; poison < 3; ++poison) {  // 0: none; 1: a gradient; 2: the loss
        Bundle b = random_bundle(dtype);
        if (poison == 1) {
          Values values = b.items[2].grad.to_vector();
          values[39] = -INFINITY;
          b.items[2].grad = Tensor::from(values, {40}, dtype);
        }
        const Tensor gate = grad_norm(b.items, 1, poison == 2 ? bad_loss : fine);
        if (adam) {
          optimizer_update(AdamRule{.lr = 0.1}, b.items, gate);
        } else {
          optimizer_update(SgdRule{.lr = 0.1, .momentum = 0.9}, b.items, gate);
        }
        // Values and all slots of three items; SGD has neither second slot nor step.
        EXPECT_EQ(changed(b), poison > 0 ? 0 : adam ? 12 : 6) << poison << adam;
      }
    }
  }
}

TEST(OptimizerUpdate, AClosedGateStopsTheAverage) {
  AverageItem item{Tensor::from({1, 2}, {2}), Tensor::from({5, NAN}, {2})};
  const Tensor before = item.average.clone();
  Tensor count = Tensor::from({1}, {1}, DType::f64);
  average_update({&item, 1}, count, gate_of(1, 0));
  EXPECT_TRUE(same_bits(item.average, before));
  EXPECT_EQ(count.item(), 1);
  average_update({&item, 1}, count, gate_of(1, 1));
  EXPECT_EQ(item.average.item(0), 3);
  EXPECT_EQ(count.item(), 2);
}

// The first fold copies, whatever the average held.
TEST(OptimizerUpdate, TheFirstAverageIsTheValue) {
  AverageItem item{Tensor::from({0.1, 3e-8}, {2}), Tensor::from({1e8, NAN}, {2})};
  Tensor count = Tensor::zeros({1}, DType::f64);
  average_update({&item, 1}, count, gate_of(1));
  EXPECT_TRUE(same_bits(item.average, item.value));
}

TEST(OptimizerUpdate, RaisesTheVersion) {
  UpdateItem item;
  item.value = Tensor::zeros({2});
  item.grad = Tensor::zeros({2});
  const uint32_t before = item.value.version();
  optimizer_update(SgdRule{.lr = 1}, {&item, 1}, gate_of(1));
  EXPECT_GT(item.value.version(), before);
}

// With beta1 = beta2 = 0 and epsilon 0 Adam is the sign of the gradient.
TEST(OptimizerUpdate, AdamOfOneStepMovesByTheRate) {
  UpdateItem item;
  item.value = Tensor::zeros({3}, DType::f64);
  item.grad = Tensor::from({5, -1e-3, 1e4}, {3}, DType::f64);
  item.slot0 = Tensor::zeros({3}, DType::f64);
  item.slot1 = Tensor::zeros({3}, DType::f64);
  item.step = Tensor::zeros({1}, DType::f64);
  optimizer_update(AdamRule{.lr = 0.5, .epsilon = 1e-300}, {&item, 1}, gate_of(1));
  for (int64_t i = 0; i < 3; ++i) EXPECT_NEAR(std::fabs(item.value.item(i)), 0.5, 1e-12);
  EXPECT_GT(item.value.item(1), 0);
  EXPECT_EQ(item.step.item(), 1);
}

// 1 - beta is rounded once: 1.0f - 0.999f would be off by 1e-5.
TEST(OptimizerUpdate, AdamRoundsOneMinusBetaOnce) {
  for (const Isa path : available_isas()) {
    set_isa(path);
    UpdateItem item;
    item.value = Tensor::zeros({37});
    item.grad = Tensor::full({37}, 2);
    item.slot0 = Tensor::zeros({37});
    item.slot1 = Tensor::zeros({37});
    item.step = Tensor::zeros({1}, DType::f64);
    optimizer_update(AdamRule{.lr = 1, .beta1 = 0.99}, {&item, 1}, gate_of(1));
    for (int64_t i = 0; i < 37; ++i) {
      EXPECT_NEAR(item.slot0.item(i), 0.02, 0.02 * 0x1p-22);
      EXPECT_NEAR(item.slot1.item(i), 0.004, 0.004 * 0x1p-22);
    }
  }
  set_isa(available_isas().back());
}

TEST(OptimizerUpdate, RefusesWhatDoesNotFit) {
  UpdateItem item;
  item.value = Tensor::zeros({2});
  item.grad = Tensor::zeros({2});
  EXPECT_THROW(optimizer_update(SgdRule{.lr = 1, .momentum = 0.9}, {&item, 1}, gate_of(1)), Error);
  EXPECT_THROW(optimizer_update(AdamRule{.lr = 1}, {&item, 1}, gate_of(1)), Error);
  EXPECT_THROW(optimizer_update(SgdRule{.lr = 1}, {&item, 1}, Tensor::zeros({4})), Error);
  EXPECT_THROW(optimizer_update(SgdRule{.lr = 1, .nesterov = true}, {&item, 1}, gate_of(1)), Error);
}

}  // namespace
}  // namespace enas::test
