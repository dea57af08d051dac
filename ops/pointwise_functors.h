// The elementwise functions, once for every path: with ENAS_ISA_NAMESPACE defined (a *.simd.cpp) on
// the vectors of tensor/simd.h, else on float and double, host and device. f is the function;
// df(saved, dy) is dx, where `saved` is what kSaves names. p is the parameter of an op that has
// one. Constants are exact in float, so that they serve double too.
#pragma once
#include <cstdint>

#ifdef ENAS_ISA_NAMESPACE
#include "tensor/simd.h"
#define ENAS_FUNCTORS ENAS_ISA_NAMESPACE
#else
#include <cmath>
#define ENAS_FUNCTORS scalar
#endif
#ifdef __CUDACC__
#define ENAS_HD __host__ __device__
#else
#define ENAS_HD
#endif

// X(function and enumerator, functor); the second table's functions take a parameter.
#define ENAS_UNARY_OPS(X) \
  X(neg, Neg)             \
  X(exp, Exp)             \
  X(log, Log) X(tanh, Tanh) X(sigmoid, Sigmoid) X(relu, Relu) X(square, Square) X(sqrt, Sqrt)
#define ENAS_PARAMETER_OPS(X) X(scale, Scale) X(add_scalar, AddScalar)
#define ENAS_BINARY_OPS(X) X(add, Add) X(sub, Sub) X(mul, Mul) X(div, Div)
#define ENAS_ENUMERATOR(name, Functor) name,

namespace enas {

enum class Unary : uint8_t { ENAS_UNARY_OPS(ENAS_ENUMERATOR) ENAS_PARAMETER_OPS(ENAS_ENUMERATOR) };
enum class Binary : uint8_t { ENAS_BINARY_OPS(ENAS_ENUMERATOR) };
enum class Saves : uint8_t { nothing, x, y };

namespace ENAS_FUNCTORS {

#ifndef ENAS_ISA_NAMESPACE
// What tensor/simd.h offers, for one number.
#define ENAS_SCALAR(T)                                \
  ENAS_HD inline T exp(T x) { return std::exp(x); }   \
  ENAS_HD inline T log(T x) { return std::log(x); }   \
  ENAS_HD inline T tanh(T x) { return std::tanh(x); } \
  ENAS_HD inline T sqrt(T x) { return std::sqrt(x); } \
  ENAS_HD inline T sigmoid(T x) {                     \
    const T z = std::exp(-std::fabs(x));              \
    return (x < 0 ? z : T(1)) / (T(1) + z);           \
  }                                                   \
  ENAS_HD inline T select(bool mask, T a, T b) { return mask ? a : b; }
ENAS_SCALAR(float)
ENAS_SCALAR(double)
#undef ENAS_SCALAR
#endif

struct Neg {
  static constexpr Saves kSaves = Saves::nothing;
  template <class T, class P>
  ENAS_HD static T f(T x, P) {
    return -x;
  }
  template <class T, class P>
  ENAS_HD static T df(T, T dy, P) {
    return -dy;
  }
};
struct Exp {
  static constexpr Saves kSaves = Saves::y;
  template <class T, class P>
  ENAS_HD static T f(T x, P) {
    return exp(x);
  }
  template <class T, class P>
  ENAS_HD static T df(T y, T dy, P) {
    return dy * y;
  }
};
struct Log {
  static constexpr Saves kSaves = Saves::x;
  template <class T, class P>
  ENAS_HD static T f(T x, P) {
    return log(x);
  }
  template <class T, class P>
  ENAS_HD static T df(T x, T dy, P) {
    return dy / x;
  }
};
struct Tanh {
  static constexpr Saves kSaves = Saves::y;
  template <class T, class P>
  ENAS_HD static T f(T x, P) {
    return tanh(x);
  }
  template <class T, class P>
  ENAS_HD static T df(T y, T dy, P) {
    return dy * ((1.0f - y) * (1.0f + y));
  }
};
struct Sigmoid {
  static constexpr Saves kSaves = Saves::y;
  template <class T, class P>
  ENAS_HD static T f(T x, P) {
    return sigmoid(x);
  }
  template <class T, class P>
  ENAS_HD static T df(T y, T dy, P) {
    return dy * (y * (1.0f - y));
  }
};
// Compared so that NaN passes.
struct Relu {
  static constexpr Saves kSaves = Saves::y;
  template <class T, class P>
  ENAS_HD static T f(T x, P) {
    return select(x <= 0.0f, T{}, x);
  }
  template <class T, class P>
  ENAS_HD static T df(T y, T dy, P) {
    return select(y <= 0.0f, T{}, dy);
  }
};
struct Square {
  static constexpr Saves kSaves = Saves::x;
  template <class T, class P>
  ENAS_HD static T f(T x, P) {
    return x * x;
  }
  template <class T, class P>
  ENAS_HD static T df(T x, T dy, P) {
    return dy * (x + x);
  }
};
struct Sqrt {
  static constexpr Saves kSaves = Saves::y;
  template <class T, class P>
  ENAS_HD static T f(T x, P) {
    return sqrt(x);
  }
  template <class T, class P>
  ENAS_HD static T df(T y, T dy, P) {
    return dy / (y + y);
  }
};
struct Scale {
  static constexpr Saves kSaves = Saves::nothing;
  template <class T, class P>
  ENAS_HD static T f(T x, P p) {
    return x * p;
  }
  template <class T, class P>
  ENAS_HD static T df(T, T dy, P p) {
    return dy * p;
  }
};
struct AddScalar {
  static constexpr Saves kSaves = Saves::nothing;
  template <class T, class P>
  ENAS_HD static T f(T x, P p) {
    return x + p;
  }
  template <class T, class P>
  ENAS_HD static T df(T, T dy, P) {
    return dy;
  }
};

// Two operands: da from b and dy, db from both and dy. kSaves says whether they read operands.
struct Add {
  static constexpr bool kSaves = false;
  template <class T>
  ENAS_HD static T f(T a, T b) {
    return a + b;
  }
  template <class T>
  ENAS_HD static T da(T, T dy) {
    return dy;
  }
  template <class T>
  ENAS_HD static T db(T, T, T dy) {
    return dy;
  }
};
struct Sub {
  static constexpr bool kSaves = false;
  template <class T>
  ENAS_HD static T f(T a, T b) {
    return a - b;
  }
  template <class T>
  ENAS_HD static T da(T, T dy) {
    return dy;
  }
  template <class T>
  ENAS_HD static T db(T, T, T dy) {
    return -dy;
  }
};
struct Mul {
  static constexpr bool kSaves = true;
  template <class T>
  ENAS_HD static T f(T a, T b) {
    return a * b;
  }
  template <class T>
  ENAS_HD static T da(T b, T dy) {
    return dy * b;
  }
  template <class T>
  ENAS_HD static T db(T a, T, T dy) {
    return dy * a;
  }
};
struct Div {
  static constexpr bool kSaves = true;
  template <class T>
  ENAS_HD static T f(T a, T b) {
    return a / b;
  }
  template <class T>
  ENAS_HD static T da(T b, T dy) {
    return dy / b;
  }
  template <class T>
  ENAS_HD static T db(T a, T b, T dy) {
    return -(a / b) * (dy / b);
  }
};

// Calls visit(Functor{}) with the functor of op.
template <class Visit>
inline void visit_functor(Unary op, Visit&& visit) {
  switch (op) {
#define ENAS_CASE(name, Functor) \
  case Unary::name:              \
    return visit(Functor{});
    ENAS_UNARY_OPS(ENAS_CASE)
    ENAS_PARAMETER_OPS(ENAS_CASE)
#undef ENAS_CASE
  }
}
template <class Visit>
inline void visit_functor(Binary op, Visit&& visit) {
  switch (op) {
#define ENAS_CASE(name, Functor) \
  case Binary::name:             \
    return visit(Functor{});
    ENAS_BINARY_OPS(ENAS_CASE)
#undef ENAS_CASE
  }
}

}  // namespace ENAS_FUNCTORS
}  // namespace enas
