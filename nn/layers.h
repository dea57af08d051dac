// Layers of the convolutional networks: plain structs of parameters, which a LayerMaker makes under
// dotted names, and the Pass that runs them on a tape. A layer leaves its output before the
// normalisation; the pass normalises it at once or leaves that to the next reader. Source:
// docs/method.md "What we implement" (batch norm, initial sigma), sections 2.1 and 3.2.
#pragma once
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "nn/parameter.h"
#include "nn/pass.h"
#include "ops/batch_norm.h"
#include "ops/window2d.h"

namespace enas {

class Pass;

struct BatchNorm {
  Parameter *scale = nullptr, *offset = nullptr;  // [C]
  Buffer *mean = nullptr, *variance = nullptr;    // running [C]; null where none are kept
  double epsilon = 1e-5;
};

struct ConvBn {
  Parameter* weight = nullptr;  // [K, K, Cin, Cout]
  BatchNorm norm;
  RawConv forward(Pass& pass, const Var& x, Padding padding = Padding::same) const;
};

// 1x1 over a list of sources, a block of weights each.
struct PointwiseBn {
  std::vector<Parameter*> blocks;  // [Ci, Cout] each
  BatchNorm norm;
  RawConv forward(Pass& pass, std::span<const Var> sources, bool relu_on_load) const;
  RawConv forward(Pass& pass, const Var& x, bool relu_on_load) const {
    return forward(pass, {&x, 1}, relu_on_load);
  }
  explicit operator bool() const { return !blocks.empty(); }
};

struct SeparableBn {
  Parameter *depthwise = nullptr, *pointwise = nullptr;  // [K, K, Cin], [Cin, Cout]
  BatchNorm norm;
  RawConv forward(Pass& pass, const Var& x, int64_t stride, Padding padding) const;  // relu first
  RawConv forward(Pass& pass, const Deferred& x) const;  // stride 1, relu if x says so
};

// Factorised reduction of a list of sources: of their concatenation, block by block.
struct ReductionBn {
  struct Block {
    Parameter *even, *odd;  // [Ci, Cout / 2], [Ci, the rest]
  };
  std::vector<Block> blocks;
  BatchNorm norm;
  RawConv forward(Pass& pass, std::span<const Var> sources, bool relu_on_load) const;
  RawConv forward(Pass& pass, const Var& x, bool relu_on_load) const {
    return forward(pass, {&x, 1}, relu_on_load);
  }
  explicit operator bool() const { return !blocks.empty(); }
};

// Makes layers in a store: He-normal weights (sigma = sqrt(2 / fan-in)) that are functions of
// (seed, name), scale 1, offset 0, running mean 0 and variance 1.
class LayerMaker {
 public:
  // running: batch norms keep running statistics.
  LayerMaker(ParameterStore& store, uint64_t seed, DType dtype, bool running)
      : store_(store), seed_(seed), dtype_(dtype), running_(running) {}

  Parameter* weight(const std::string& name, const Shape& shape, int64_t fan_in) const;
  BatchNorm norm(const std::string& name, int64_t channels, double epsilon = 1e-5) const;
  ConvBn conv(const std::string& name, int64_t kernel, int64_t in, int64_t out,
              double epsilon = 1e-5) const;
  // Over a concatenation: block i reads widths[i] channels, fan-in is their sum.
  PointwiseBn pointwise(const std::string& name, std::span<const int64_t> widths,
                        int64_t out) const;
  PointwiseBn pointwise(const std::string& name, int64_t in, int64_t out) const {
    return pointwise(name, {&in, 1}, out);
  }
  SeparableBn separable(const std::string& name, int64_t kernel, int64_t in, int64_t out,
                        double epsilon = 1e-5) const;
  ReductionBn reduction(const std::string& name, std::span<const int64_t> widths,
                        int64_t out) const;
  ReductionBn reduction(const std::string& name, int64_t in, int64_t out) const {
    return reduction(name, {&in, 1}, out);
  }
  // The head: [C, classes].
  Parameter* linear(const std::string& name, int64_t in, int64_t classes) const {
    return weight(name + ".weight", {in, classes}, in);
  }
  // The same without running statistics, for what evaluation does not run.
  LayerMaker without_running() const { return {store_, seed_, dtype_, false}; }

 private:
  ParameterStore& store_;
  uint64_t seed_;
  DType dtype_;
  bool running_;
};

// Running statistics that passes collected, until the step is known to be finite.
class RunningLog {
 public:
  static constexpr double kDecay = 0.9;  // docs/method.md section 2.1
  void add(std::vector<RunningItem> items) {
    if (!items.empty()) passes_.push_back(std::move(items));
  }
  // Folds each pass in, in turn, where the gate is open; forgets them.
  void update(const Tensor& gate);

 private:
  std::vector<std::vector<RunningItem>> passes_;
};

// One forward pass.
class Pass {
 public:
  Pass(Tape& tape, const PassMode& mode) : tape_(tape), mode_(mode) {}

  const PassMode& mode() const { return mode_; }
  // Refuses (usage) a weight that the network was built without. A frozen one is a constant.
  Var use(Parameter* p) const;
  void freeze(bool on) { frozen_ = on; }
  // Whether convolutions leave statistics.
  bool stats() const { return !mode_.running; }

  Deferred later(const RawConv& raw, const BatchNorm& norm, bool relu = false);
  Var now(const RawConv& raw, const BatchNorm& norm, bool relu = false) {
    return materialize(later(raw, norm, relu));
  }
  // Normalises a value that no convolution left: its statistics are taken here.
  Var now(const Var& x, const BatchNorm& norm);

  // [N, C] -> dropout -> logits.
  Var classify(const Var& features, Parameter* linear, double dropout_rate) const;
  // The factors of one edge's drop path, [n]; undefined where keep is 1. Edges number from 0.
  Tensor drop_path(int64_t edge, double keep, int64_t n, DType dtype, Device device) const;

  std::vector<RunningItem> take_collected() { return std::move(collected_); }

 private:
  Tape& tape_;
  PassMode mode_;
  bool frozen_ = false;
  std::vector<RunningItem> collected_;
};

}  // namespace enas
