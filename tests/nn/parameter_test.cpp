#include "nn/parameter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>

#include "nn/init.h"
#include "tensor/philox.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.bytes() == b.bytes() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}
std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(ParameterStore, AddressesStayAndOrderIsKept) {
  ParameterStore store;
  Parameter* first = &store.add("cell.edge.0", {2, 3});
  for (int i = 1; i < 300; ++i) store.add("cell.edge." + std::to_string(i), {i});
  EXPECT_EQ(first, &store.get("cell.edge.0"));
  EXPECT_EQ(first, store.find("cell.edge.0"));
  int next = 0;
  for (const Parameter& p : store) EXPECT_EQ(p.name, "cell.edge." + std::to_string(next++));
  EXPECT_EQ(next, 300);
  EXPECT_EQ(store.size(), 300u);
  EXPECT_EQ(store.count(), 6 + 299 * 300 / 2);
  EXPECT_EQ(store.all().front(), first);
  EXPECT_EQ(store.all().size(), 300u);
}

TEST(ParameterStore, NewParametersAreZeroAndHaveNoGradient) {
  memory_pool().set_poison(true);
  ParameterStore store;
  const Parameter& p = store.add("w", {5}, DType::f64);
  memory_pool().set_poison(false);
  EXPECT_EQ(p.value.dtype(), DType::f64);
  for (const double v : p.value.to_vector()) EXPECT_EQ(v, 0);
  EXPECT_FALSE(p.grad.defined());
}

TEST(ParameterStore, NamesAreUniqueOverParametersAndBuffers) {
  ParameterStore store;
  store.add("w", {1});
  store.add_buffer("mean", {2}).value.fill(3);
  EXPECT_THROW(store.add("w", {1}), Error);
  EXPECT_THROW(store.add("mean", {1}), Error);
  EXPECT_THROW(store.add_buffer("w", {1}), Error);
  EXPECT_THROW(store.add_buffer("mean", {1}), Error);
  EXPECT_THROW(store.add("", {1}), Error);
  EXPECT_EQ(store.size(), 1u);
  EXPECT_EQ(store.count(), 1);
  ASSERT_EQ(store.buffers().size(), 1u);
  EXPECT_EQ(store.buffers()[0].name, "mean");
  EXPECT_EQ(store.buffers()[0].value.item(1), 3);
  EXPECT_EQ(store.find("mean"), nullptr);
}

TEST(ParameterStore, AnUnknownNameIsRefusedWithTheNearest) {
  ParameterStore store;
  EXPECT_NE(message_of([&] { store.get("x"); }).find("empty"), std::string::npos);
  store.add("cell.edge.3.1.tanh", {1});
  store.add("embedding", {1});
  EXPECT_EQ(store.find("cell.edge.3.1.tan"), nullptr);
  EXPECT_NE(message_of([&] { store.get("cell.edge.3.1.tan"); }).find("cell.edge.3.1.tanh"),
            std::string::npos);
  EXPECT_NE(message_of([&] { store.get("embeding"); }).find("is embedding"), std::string::npos);
}

Parameter make(const std::string& name, int64_t n, DType dtype = DType::f32) {
  Parameter p;
  p.name = name;
  p.value = Tensor({n}, dtype);
  return p;
}

TEST(Init, UniformIsTheStreamsOwnDraw) {
  Parameter p = make("cell.w", 4099);
  init_uniform(p, 0.5, 7);
  const Random random{7, Stream::init, name_hash("cell.w")};
  for (int64_t i = 0; i < 4099; ++i) {
    ASSERT_EQ(p.value.item(i), 0.5 * (2 * double{random.uniform(static_cast<uint64_t>(i))} - 1));
  }
}

TEST(Init, HashIsFnv1a) {
  EXPECT_EQ(name_hash(""), 0xcbf29ce484222325u);
  EXPECT_EQ(name_hash("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(name_hash("foobar"), 0x85944171f73967e8u);
}

TEST(Init, DependsOnNameAndSeedAlone) {
  for (auto* init : {&init_uniform, &init_normal}) {
    Parameter a = make("a", 1001), other = make("b", 1001), again = make("a", 1001);
    (*init)(a, 0.1, 1);
    (*init)(other, 0.1, 1);
    (*init)(again, 0.1, 1);
    EXPECT_TRUE(same_bits(a.value, again.value));
    EXPECT_FALSE(same_bits(a.value, other.value));
    (*init)(again, 0.1, 2);
    EXPECT_FALSE(same_bits(a.value, again.value));
  }
}

TEST(Init, SameBitsForAnyThreads) {
  const int before = thread_count();
  for (auto* init : {&init_uniform, &init_normal}) {
    Parameter want = make("w", 100003);
    set_thread_count(1);
    (*init)(want, 0.1, 1);
    for (const int threads : {2, 3, 4, 8}) {
      Parameter p = make("w", 100003);
      set_thread_count(threads);
      (*init)(p, 0.1, 1);
      EXPECT_TRUE(same_bits(p.value, want.value)) << threads;
    }
  }
  set_thread_count(before);
}

// Four moments within 5 standard errors.
TEST(Init, Moments) {
  constexpr int64_t kN = 2000000;
  const auto moments = [](const Parameter& p) {
    std::vector<double> m(5);
    for (const double v : p.value.to_vector()) {
      double power = 1;
      for (size_t k = 1; k < 5; ++k) m[k] += (power *= v) / kN;
    }
    return m;
  };
  const double root = std::sqrt(double{kN});
  Parameter p = make("moments", kN, DType::f64);
  init_normal(p, 1, 3);
  const auto normal = moments(p);
  EXPECT_NEAR(normal[1], 0, 5 / root);
  EXPECT_NEAR(normal[2], 1, 5 * std::sqrt(2.0) / root);
  EXPECT_NEAR(normal[3], 0, 5 * std::sqrt(15.0) / root);
  EXPECT_NEAR(normal[4], 3, 5 * std::sqrt(96.0) / root);
  init_uniform(p, 1, 3);
  const auto uniform = moments(p);
  EXPECT_NEAR(uniform[1], 0, 5 * std::sqrt(1.0 / 3) / root);
  EXPECT_NEAR(uniform[2], 1.0 / 3, 5 * std::sqrt(4.0 / 45) / root);
  for (const double v : p.value.to_vector()) ASSERT_TRUE(v >= -1 && v < 1);
}

// Neighbours share a Philox block in the normal: they must not be correlated.
TEST(Init, NeighboursAreUncorrelated) {
  constexpr int64_t kN = 200000;
  Parameter p = make("pairs", kN, DType::f64);
  init_normal(p, 1, 5);
  const auto v = p.value.to_vector();
  double product = 0, squares = 0;
  for (size_t i = 0; i < v.size(); i += 2) {
    product += v[i] * v[i + 1];
    squares += (v[i] * v[i] - 1) * (v[i + 1] * v[i + 1] - 1);
  }
  const double root = std::sqrt(kN / 2.0);
  EXPECT_NEAR(product / (kN / 2), 0, 5 / root);
  EXPECT_NEAR(squares / (kN / 2), 0, 5 * 2 / root);
}

TEST(Init, ConstantFillsAndAllRaiseTheVersion) {
  Parameter p = make("w", 9);
  uint32_t version = p.value.version();
  init_constant(p, 1.5);
  for (const double v : p.value.to_vector()) EXPECT_EQ(v, 1.5);
  EXPECT_GT(p.value.version(), version);
  version = p.value.version();
  init_uniform(p, 1, 1);
  EXPECT_GT(p.value.version(), version);
  version = p.value.version();
  init_normal(p, 1, 1);
  EXPECT_GT(p.value.version(), version);
}

}  // namespace
}  // namespace enas
