// The recurrent cells by definition, in double; shared by the tests of highway and plain cells.
#pragma once
#include <cmath>

#include "ops/activation.h"
#include "tests/op_cases.h"

namespace enas::test {

inline double activate(Activation f, double x) {
  switch (f) {
    case Activation::tanh:
      return std::tanh(x);
    case Activation::relu:
      return x > 0 ? x : 0;
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::identity:
      return x;
  }
  return NAN;
}

// Inputs of a case: s, w, [mask], or x, s, w, [mask_x, mask_s] where `input` (node 0).
struct CellShape {
  int64_t batch, hidden;
  bool input, gated, masked;
};

// [x * mask_x, s * mask_s] w, [batch, hidden or 2 * hidden].
inline Values cell_product_reference(const CellShape& shape, const std::vector<Values>& in) {
  const auto rows = static_cast<size_t>(shape.batch), h = static_cast<size_t>(shape.hidden);
  const size_t parts = shape.input ? 2 : 1, columns = shape.gated ? 2 * h : h;
  const Values& w = in[parts];
  Values z(rows * columns);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t k = 0; k < parts * h; ++k) {
      const size_t part = k / h, at = r * h + k % h;
      const double v = in[part][at] * (shape.masked ? in[parts + 1 + part][at] : 1);
      for (size_t j = 0; j < columns; ++j) z[r * columns + j] += v * w[k * columns + j];
    }
  }
  return z;
}

inline Reference cell_reference(const CellShape& shape, Activation f) {
  return [=](const std::vector<Values>& in) {
    const Values z = cell_product_reference(shape, in);
    const Values& s = in[shape.input ? 1 : 0];
    const auto h = static_cast<size_t>(shape.hidden);
    Values y(s.size());
    for (size_t i = 0; i < y.size(); ++i) {
      if (shape.gated) {
        const size_t at = i / h * 2 * h + i % h;
        y[i] = s[i] + 1 / (1 + std::exp(-z[at + h])) * (activate(f, z[at]) - s[i]);
      } else {
        y[i] = activate(f, z[i]);
      }
    }
    return std::vector<Values>{y};
  };
}

// The distance of the activations' arguments to relu's kink.
inline std::function<double(const std::vector<Values>&)> cell_margin(const CellShape& shape,
                                                                     Activation f) {
  if (f != Activation::relu) return nullptr;
  return [=](const std::vector<Values>& in) {
    const Values z = cell_product_reference(shape, in);
    const auto h = static_cast<size_t>(shape.hidden), columns = shape.gated ? 2 * h : h;
    double margin = INFINITY;
    for (size_t i = 0; i < z.size(); ++i) {
      if (i % columns < h) margin = std::min(margin, std::fabs(z[i]));
    }
    return margin;
  };
}

// Operands as in the declarations of ops/highway_cell.h and ops/plain_cell.h.
using NodeOp = Var (*)(const Var&, const Var&, Activation, const Tensor&);
using InputOp = Var (*)(const Var&, const Var&, const Var&, Activation, const Tensor&,
                        const Tensor&);

inline OpCase cell_case(const CellShape& shape, Activation f, NodeOp node, InputOp first) {
  OpCase c;
  const int64_t h = shape.hidden, columns = shape.gated ? 2 * h : h;
  c.label = std::to_string(shape.batch) + "x" + std::to_string(h) + "_" + std::string(name_of(f)) +
            (shape.masked ? "_masked" : "");
  const Shape rows{shape.batch, h};
  const double reach = 2 / std::sqrt(static_cast<double>(h));  // keeps the gates in their range
  if (shape.input) c.inputs.push_back(in(rows));
  c.inputs.push_back(in(rows));
  c.inputs.push_back(in({shape.input ? 2 * h : h, columns}, -reach, reach));
  if (shape.masked) c.inputs.push_back(constant(rows, 0, 2));
  if (shape.masked && shape.input) c.inputs.push_back(constant(rows, 0, 2));
  c.op = [=](Tape&, const std::vector<Var>& x) {
    const auto mask = [&](size_t i) { return shape.masked ? x[i].value() : Tensor(); };
    return std::vector<Var>{shape.input ? first(x[0], x[1], x[2], f, mask(3), mask(4))
                                        : node(x[0], x[1], f, mask(2))};
  };
  c.reference = cell_reference(shape, f);
  c.kink_margin = cell_margin(shape, f);
  c.sum_length = std::max(shape.input ? 2 * h : columns, columns);
  c.draws = shape.batch * h > 30 ? 1 : 5;
  return c;
}

// Every activation with and without masks at ragged sizes; the last rows are for op_bench.
inline std::vector<OpCase> cell_cases(bool input, bool gated, NodeOp node, InputOp first) {
  std::vector<OpCase> cases;
  for (int f = 0; f < kActivations; ++f) {
    for (const bool masked : {false, true}) {
      const int64_t sizes[][2] = {{1, 1}, {3, 7}, {7, 33}};
      for (const auto& s : sizes) {
        cases.push_back(
            cell_case({s[0], s[1], input, gated, masked}, static_cast<Activation>(f), node, first));
      }
    }
  }
  const int64_t large[][2] = {{32, 200}, {64, 1000}};
  for (const auto& s : large) {
    OpCase c = cell_case({s[0], s[1], input, gated, true}, Activation::tanh, node, first);
    const double k = static_cast<double>(input ? 2 * s[1] : s[1]), rows = static_cast<double>(s[0]);
    const double columns = static_cast<double>(gated ? 2 * s[1] : s[1]);
    c.draws = 1;
    c.check.most_elements = 2;
    c.bench = true;
    c.flops = 2 * rows * k * columns;
    c.bytes = 4 * (k * columns + rows * (2 * k + columns + static_cast<double>(s[1])));
    cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace enas::test
