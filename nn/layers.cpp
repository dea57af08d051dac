#include "nn/layers.h"

#include <cmath>
#include <numeric>

#include "nn/init.h"
#include "ops/conv2d.h"
#include "ops/drop_path.h"
#include "ops/dropout.h"
#include "ops/factorized_reduction.h"
#include "ops/matmul.h"
#include "ops/pointwise_conv.h"
#include "ops/separable_conv.h"
#include "ops/sum_of.h"

namespace enas {
namespace {

int64_t total(std::span<const int64_t> widths) {
  return std::accumulate(widths.begin(), widths.end(), int64_t{0});
}

// "name.weight", of several blocks "name.weight.1".
std::string block_name(const std::string& name, size_t block, size_t blocks) {
  return blocks == 1 ? name : name + "." + std::to_string(block);
}

// Edges of a network whose drop paths draw apart.
constexpr uint64_t kMostEdges = 1 << 14;

}  // namespace

Parameter* LayerMaker::weight(const std::string& name, const Shape& shape, int64_t fan_in) const {
  Parameter& p = store_.add(name, shape, dtype_);
  init_normal(p, std::sqrt(2 / static_cast<double>(fan_in)), seed_);
  return &p;
}

BatchNorm LayerMaker::norm(const std::string& name, int64_t channels, double epsilon) const {
  BatchNorm norm;
  norm.epsilon = epsilon;
  norm.scale = &store_.add(name + ".scale", {channels}, dtype_);
  norm.offset = &store_.add(name + ".offset", {channels}, dtype_);
  init_constant(*norm.scale, 1);
  if (running_) {
    norm.mean = &store_.add_buffer(name + ".mean", {channels}, dtype_);
    norm.variance = &store_.add_buffer(name + ".variance", {channels}, dtype_);
    norm.variance->value.fill(1);
  }
  return norm;
}

ConvBn LayerMaker::conv(const std::string& name, int64_t kernel, int64_t in, int64_t out,
                        double epsilon) const {
  return {weight(name + ".weight", {kernel, kernel, in, out}, kernel * kernel * in),
          norm(name + ".norm", out, epsilon)};
}

PointwiseBn LayerMaker::pointwise(const std::string& name, std::span<const int64_t> widths,
                                  int64_t out) const {
  PointwiseBn layer;
  for (size_t i = 0; i < widths.size(); ++i) {
    layer.blocks.push_back(
        weight(block_name(name + ".weight", i, widths.size()), {widths[i], out}, total(widths)));
  }
  layer.norm = norm(name + ".norm", out);
  return layer;
}

SeparableBn LayerMaker::separable(const std::string& name, int64_t kernel, int64_t in, int64_t out,
                                  double epsilon) const {
  return {weight(name + ".depthwise", {kernel, kernel, in}, kernel * kernel * in),
          weight(name + ".pointwise", {in, out}, in), norm(name + ".norm", out, epsilon)};
}

ReductionBn LayerMaker::reduction(const std::string& name, std::span<const int64_t> widths,
                                  int64_t out) const {
  ReductionBn layer;
  for (size_t i = 0; i < widths.size(); ++i) {
    const auto block = [&](const char* path, int64_t channels) {
      return weight(block_name(name + path, i, widths.size()), {widths[i], channels},
                    total(widths));
    };
    layer.blocks.push_back({block(".even", out / 2), block(".odd", out - out / 2)});
  }
  layer.norm = norm(name + ".norm", out);
  return layer;
}

RawConv ConvBn::forward(Pass& pass, const Var& x, Padding padding) const {
  const Var w = pass.use(weight);
  return conv2d(x, w, {w.size(0), 1, padding}, pass.stats());
}

RawConv PointwiseBn::forward(Pass& pass, std::span<const Var> sources, bool relu_on_load) const {
  if (blocks.empty()) pass.use(nullptr);
  std::vector<Var> weights;
  for (Parameter* block : blocks) weights.push_back(pass.use(block));
  return pointwise_conv(sources, weights, relu_on_load, pass.stats());
}

RawConv SeparableBn::forward(Pass& pass, const Var& x, int64_t stride, Padding padding) const {
  const Var w = pass.use(depthwise);
  return separable_conv(x, true, w, pass.use(pointwise), {w.size(0), stride, padding},
                        pass.stats());
}

RawConv SeparableBn::forward(Pass& pass, const Deferred& x) const {
  const Var w = pass.use(depthwise);
  return separable_conv(x, w, pass.use(pointwise), {w.size(0), 1, Padding::same}, pass.stats());
}

RawConv ReductionBn::forward(Pass& pass, std::span<const Var> sources, bool relu_on_load) const {
  if (blocks.empty()) pass.use(nullptr);
  const bool alone = blocks.size() == 1;
  std::vector<Term> terms;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const Var even = pass.use(blocks[i].even), odd = pass.use(blocks[i].odd);
    RawConv raw = factorized_reduction(sources[i], even, odd, relu_on_load, alone && pass.stats());
    if (alone) return raw;
    terms.push_back({std::move(raw.y), std::nullopt, Tensor()});
  }
  return sum_of(terms, pass.stats());
}

void RunningLog::update(const Tensor& gate) {
  for (std::vector<RunningItem>& items : passes_) running_update(items, kDecay, gate);
  passes_.clear();
}

Var Pass::use(Parameter* p) const {
  check(p != nullptr, ErrorKind::usage, "convolutional network",
        "has no weights for a choice of this architecture; it was built for another one");
  return frozen_ ? Var(p->value) : tape_.use(*p);
}

Deferred Pass::later(const RawConv& raw, const BatchNorm& norm, bool relu) {
  const Normalization n{use(norm.scale), use(norm.offset), norm.epsilon, relu};
  if (mode_.running) {
    check(norm.mean != nullptr, "convolutional network", "keeps no running statistics");
    return {raw.y, {norm.mean->value, norm.variance->value, 0}, n, StatsUse::running};
  }
  if (mode_.collect && norm.mean != nullptr)
    collected_.push_back({norm.mean->value, norm.variance->value, raw.stats});
  return {raw.y, raw.stats, n, StatsUse::batch};
}

Var Pass::now(const Var& x, const BatchNorm& norm) {
  return now(RawConv{x, stats() ? channel_stats(x.value()) : ChannelStats{}}, norm);
}

Var Pass::classify(const Var& features, Parameter* linear, double dropout_rate) const {
  Var x = features;
  if (mode_.dropout && dropout_rate > 0) {
    x = dropout(x, dropout_mask(x.shape(), dropout_rate,
                                Random{mode_.seed, Stream::head_dropout, mode_.draw}, x.dtype(),
                                x.value().device()));
  }
  return matmul(x, use(linear));
}

Tensor Pass::drop_path(int64_t edge, double keep, int64_t n, DType dtype, Device device) const {
  if (keep >= 1) return {};
  const Random random{mode_.seed, Stream::drop_path,
                      mode_.draw * kMostEdges + static_cast<uint64_t>(edge)};
  return drop_path_keep(n, keep, random, dtype, device);
}

}  // namespace enas
