// Leaves of parameters: one a tape, contributions flushed together, who was used.
#include <gtest/gtest.h>

#include "tests/autograd/test_ops.h"

namespace enas::test {
namespace {

using Numbers = std::vector<double>;

Parameter parameter(const char* name, const Numbers& values) {
  Parameter p;
  p.name = name;
  p.value = f64(values);
  return p;
}

TEST(Parameter, OneLeafHoweverOftenUsed) {
  Tape tape;
  Parameter p = parameter("p", {3}), q = parameter("q", {4}), unused = parameter("unused", {5});
  const Var first = tape.use(p), second = tape.use(p);
  EXPECT_EQ(first.slot(), second.slot());
  tape.backward(mul(mul(first, tape.use(q)), second));  // p^2 q
  EXPECT_EQ(p.grad.item(), 24);
  EXPECT_EQ(q.grad.item(), 9);
  EXPECT_FALSE(unused.grad.defined());
  EXPECT_EQ(tape.parameters(), (std::vector<Parameter*>{&p, &q}));
  EXPECT_EQ(tape.recorded_ops(), 2u);
}

TEST(Parameter, GradientIsThatOfTheLastBackward) {
  Tape tape;
  Parameter p = parameter("p", {3}), q = parameter("q", {1});
  tape.backward(scale(tape.use(p), 2));
  tape.clear();
  EXPECT_TRUE(tape.parameters().empty());
  tape.backward(scale(tape.use(p), 5));
  EXPECT_EQ(p.grad.item(), 5);
  tape.clear();
  tape.use(p);  // used, but the loss does not depend on it
  tape.backward(scale(tape.use(q), 1));
  EXPECT_FALSE(p.grad.defined());
}

TEST(Parameter, TwoTapesAtOnceAreRefused) {
  Tape tape, other;
  Parameter p = parameter("p", {3});
  tape.use(p);
  other.use(p);
  EXPECT_THROW(tape.use(p), Error);
}

TEST(Parameter, WithoutValueIsRefused) {
  Tape tape;
  Parameter p;
  EXPECT_THROW(tape.use(p), Error);
}

#ifndef NDEBUG
TEST(Parameter, ChangeBetweenForwardAndBackwardIsFound) {
  Tape tape;
  Parameter p = parameter("p", {3});
  const Var y = scale(tape.use(p), 2);
  p.value.bump_version();
  EXPECT_THROW(tape.backward(y), Error);
}
#endif

// Records which flushes ran, how, and with how many contributions.
struct Call {
  char kind;
  size_t count;
  Into into;
};
std::vector<Call> calls;
template <char kind>
void flush(std::span<const Contribution> list, Grad& dw) {
  calls.push_back({kind, list.size(), dw.into()});
  for (const Contribution& c : list) {
    for (int64_t i = 0; i < c.a.numel(); ++i) {
      double& out = dw.tensor().data<double>()[i];
      const bool first = dw.into() == Into::write && &c == &list.front();
      out = (first ? 0 : out) + c.a.data<double>()[i] * c.b.item();
    }
  }
}

// y = x * factor for a weight x, whose gradient is left for `kind`.
template <char kind>
Var later(const Var& w, double factor, FlushOrder order) {
  return record("later", {w}, w.value().clone(), [=](const Tensor& dy, Grads& dx) {
    dx[0].contribute(flush<kind>, order, dy, Tensor::full({}, factor, DType::f64));
  });
}

TEST(Contributions, AreFlushedOncePerKindDenseFirst) {
  calls.clear();
  Tape tape;
  Parameter p = parameter("p", {1, 1});
  const Var w = tape.use(p);
  Var y = later<'s'>(w, 100, FlushOrder::sparse);
  for (int i = 0; i < 3; ++i) y = add(y, later<'d'>(w, 1, FlushOrder::dense));
  y = add(y, later<'e'>(w, 10, FlushOrder::dense));
  tape.backward(add(y, later<'s'>(w, 100, FlushOrder::sparse)));
  EXPECT_EQ(p.grad.to_vector(), (Numbers{213, 213}));
  ASSERT_EQ(calls.size(), 3u);
  EXPECT_EQ(calls[0].kind, 'e');
  EXPECT_EQ(calls[0].into, Into::write);
  EXPECT_EQ(calls[1].kind, 'd');
  EXPECT_EQ(calls[1].count, 3u);
  EXPECT_EQ(calls[1].into, Into::add);
  EXPECT_EQ(calls[2].kind, 's');
  EXPECT_EQ(calls[2].count, 2u);
  EXPECT_EQ(calls[2].into, Into::add);
}

TEST(Contributions, MeetDirectGradients) {
  Tape tape;
  Parameter p = parameter("p", {2});
  const Var w = tape.use(p);
  tape.backward(add(scale(w, 7), later<'d'>(w, 3, FlushOrder::dense)));
  EXPECT_EQ(p.grad.item(), 10);
}

TEST(Contributions, RunAtOnceWhereThereIsNoParameter) {
  calls.clear();
  Tape tape;
  const Var x = tape.variable(f64({2}));
  tape.backward(add(later<'d'>(x, 3, FlushOrder::dense), later<'d'>(x, 4, FlushOrder::dense)));
  EXPECT_EQ(tape.gradient(x).item(), 7);
  ASSERT_EQ(calls.size(), 2u);
  EXPECT_EQ(calls[0].into, Into::write);
  EXPECT_EQ(calls[1].into, Into::add);
}

TEST(Contributions, DieWithTheTape) {
  const size_t live = memory_pool().stats().live_bytes;
  {
    Tape tape;
    const Var x = tape.variable(f64({2}));
    tape.backward(later<'d'>(x, 3, FlushOrder::dense));
  }
  EXPECT_EQ(memory_pool().stats().live_bytes, live);
}

}  // namespace
}  // namespace enas::test
