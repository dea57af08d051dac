// Blocks of the convolutional networks as op cases, so that what stands between their ops (deferred
// normalisations, statistics of an epilogue, sums) is held to the same uses as each op: a separable
// block, a whole micro cell, a whole macro layer. Source: docs/method.md sections 2.1 and 3.2.
#include <algorithm>

#include "ops/conv2d.h"
#include "ops/pointwise_conv.h"
#include "ops/pool2d.h"
#include "ops/separable_conv.h"
#include "ops/sum_of.h"
#include "tests/ops/conv_reference.h"
#include "tests/ops/image_reference.h"

namespace enas::test {
namespace {

constexpr double kEpsilon = 1e-2;  // 1e-5 of the networks would magnify roundings a thousandfold
constexpr int64_t kOwn = 3;        // channels

// The inputs of a case in order, taken in the same order by op and reference.
struct Recipe {
  std::vector<InputSpec> inputs;
  void map(const RefImage& i) { inputs.push_back(in({i.n, i.height, i.width, i.channels})); }
  void norm() {
    inputs.push_back(in({kOwn}, 0.5, 1.5));
    inputs.push_back(in({kOwn}));
  }
  void pointwise() { inputs.push_back(in({kOwn, kOwn})); }
  void separable(int64_t kernel) {
    inputs.push_back(in({kernel, kernel, kOwn}));
    pointwise();
    norm();
  }
};

// The block by our ops.
class Ours {
 public:
  explicit Ours(const std::vector<Var>& x) : next_(x.begin()) {}
  Var take() { return *next_++; }
  Deferred later(const RawConv& raw, bool relu) {
    const Var scale = take(), offset = take();
    return {raw.y, raw.stats, {scale, offset, kEpsilon, relu}, StatsUse::batch};
  }
  Deferred separable_block(const Var& x, int64_t kernel, int64_t stride) {
    const Var d = take(), p = take();
    const Deferred between = later(separable_conv(x, true, d, p, {kernel, stride}, true), true);
    const Var e = take(), q = take();
    return later(separable_conv(between, e, q, {kernel}, true), false);
  }
  static Term of(const Deferred& d) { return {Var(), d, Tensor()}; }
  static Term of(const Var& x) { return {x, std::nullopt, Tensor()}; }

 private:
  std::vector<Var>::const_iterator next_;
};

// The block by plain loops; the least distance to a kink of relu or maximum as it goes.
class Naive {
 public:
  Naive(const std::vector<Values>& x, const RefImage& image) : next_(x.begin()), image_(image) {}
  const Values& take() { return *next_++; }
  double margin() const { return margin_; }
  Values relu(const Values& x) {
    margin_ = std::min(margin_, smallest(x));
    return ref_relu(x);
  }
  Values norm(const Values& x) {
    const Values &scale = take(), &offset = take();
    return ref_norm(x, ref_stats(x, kOwn), scale, offset, kEpsilon);
  }
  Values pointwise(const Values& x) { return ref_pointwise(x, kOwn, take()); }
  Values separable_block(const Values& x, int64_t kernel, int64_t stride) {
    const Window2d first{kernel, stride};
    const Values a = norm(pointwise(ref_depthwise(relu(x), image_, take(), first)));
    const RefImage half{image_.n, first.output(image_.height), first.output(image_.width), kOwn};
    return norm(pointwise(ref_depthwise(relu(a), half, take(), {kernel})));
  }
  Values pool(const Values& x, bool is_max) {
    std::vector<Values> taps(x.size());
    const Shape shape{image_.n, image_.height, image_.width, 1};
    each_tap(shape, {3}, [&](int64_t pixel, int64_t, int64_t from) {
      for (int64_t c = 0; c < kOwn && from >= 0; ++c)
        taps[static_cast<size_t>(pixel * kOwn + c)].push_back(
            x[static_cast<size_t>(from * kOwn + c)]);
    });
    Values y;
    for (Values& t : taps) {
      std::sort(t.begin(), t.end());
      if (is_max) margin_ = std::min(margin_, t.back() - t[t.size() - 2]);
      double sum = 0;
      for (const double v : t) sum += v;
      y.push_back(is_max ? t.back() : sum / static_cast<double>(t.size()));
    }
    return y;
  }
  static Values add(Values a, const Values& b) {
    for (size_t i = 0; i < a.size(); ++i) a[i] += b[i];
    return a;
  }

 private:
  std::vector<Values>::const_iterator next_;
  RefImage image_;
  double margin_ = 1e30;
};

// by(Ours) and by(Naive) are the block.
template <class OurBlock, class NaiveBlock>
OpCase block_case(std::string label, const RefImage& image, Recipe recipe, const OurBlock& ours,
                  const NaiveBlock& naive) {
  OpCase c;
  c.label = std::move(label);
  c.inputs = std::move(recipe.inputs);
  c.op = [ours](Tape&, const std::vector<Var>& x) {
    Ours by(x);
    return std::vector<Var>{ours(by)};
  };
  c.reference = [naive, image](const std::vector<Values>& x) {
    Naive by(x, image);
    return std::vector<Values>{naive(by)};
  };
  c.kink_margin = [naive, image](const std::vector<Values>& x) {
    Naive by(x, image);
    naive(by);
    return by.margin();
  };
  c.check = {.step = 1e-5, .relative = 1e-6, .most_elements = 6};
  c.f64_relative = 1e-11;
  // Of normalisations behind one another; each passes on what the sums before it lost.
  c.sum_length = 20 * image.n * image.height * image.width;
  return c;
}

OpCase separable_block(const std::string& label, const RefImage& image, int64_t kernel,
                       int64_t stride) {
  Recipe r;
  r.map(image), r.separable(kernel), r.separable(kernel);
  return block_case(
      label, image, r,
      [=](Ours& by) {
        const Var x = by.take();
        return materialize(by.separable_block(x, kernel, stride));
      },
      [=](Naive& by) {
        const Values& x = by.take();
        return by.separable_block(x, kernel, stride);
      });
}

// Three nodes: 2 = sep3(1) + avg(0), 3 = max(2) + id(1), 4 = sep5(2) + id(0); the loose ends 3 and
// 4 pass a 1x1.
OpCase micro_cell(const std::string& label, const RefImage& image) {
  Recipe r;
  r.map(image), r.map(image);
  r.separable(3), r.separable(3), r.separable(5), r.separable(5);
  r.pointwise(), r.pointwise(), r.norm();
  return block_case(
      label, image, r,
      [](Ours& by) {
        const Var x0 = by.take(), x1 = by.take();
        const Term sep3 = Ours::of(by.separable_block(x1, 3, 1));
        const Var x2 = sum_of({sep3, Ours::of(avg_pool2d(x0, {3}))}, false).y;
        const Var x3 = sum_of({Ours::of(max_pool2d(x2, {3})), Ours::of(x1)}, false).y;
        const Term sep5 = Ours::of(by.separable_block(x2, 5, 1));
        const Var x4 = sum_of({sep5, Ours::of(x0)}, false).y;
        const Var w3 = by.take(), w4 = by.take();
        const Var ends[] = {x3, x4}, weights[] = {w3, w4};
        return materialize(by.later(pointwise_conv(ends, weights, true, true), false));
      },
      [](Naive& by) {
        const Values &x0 = by.take(), &x1 = by.take();
        const Values x2 = Naive::add(by.separable_block(x1, 3, 1), by.pool(x0, false));
        const Values x3 = Naive::add(by.pool(x2, true), x1);
        const Values x4 = Naive::add(by.separable_block(x2, 5, 1), x0);
        const Values first = by.pointwise(by.relu(x3)), second = by.pointwise(by.relu(x4));
        return by.norm(Naive::add(first, second));
      });
}

// 1x1, BN, ReLU, convolution, BN, ReLU; two skips and that, summed, BN.
OpCase macro_layer(const std::string& label, const RefImage& image, int64_t kernel) {
  Recipe r;
  r.map(image), r.map(image), r.map(image);
  r.pointwise(), r.norm();
  r.inputs.push_back(in({kernel, kernel, kOwn, kOwn}));
  r.norm(), r.norm();
  const Shape shape{image.n, image.height, image.width, kOwn};
  return block_case(
      label, image, r,
      [=](Ours& by) {
        const Var x = by.take(), skip = by.take(), other = by.take(), p = by.take();
        const Var first = materialize(by.later(pointwise_conv(x, p, false, true), true));
        const Var w = by.take();
        const Term y = Ours::of(by.later(conv2d(first, w, {kernel}, true), true));
        const RawConv sum = sum_of({y, Ours::of(skip), Ours::of(other)}, true);
        return materialize(by.later(sum, false));
      },
      [=](Naive& by) {
        const Values &x = by.take(), &skip = by.take(), &other = by.take();
        const Values first = by.relu(by.norm(by.pointwise(x)));
        const Values second = conv_reference(first, shape, by.take(), kOwn, {kernel});
        const Values y = by.relu(by.norm(second));
        return by.norm(Naive::add(Naive::add(y, skip), other));
      });
}

OP_CASES(separable_block, separable_block("k3_2x5x4x3", {2, 5, 4, kOwn}, 3, 1),
         separable_block("k5_2x5x4x3", {2, 5, 4, kOwn}, 5, 1),
         separable_block("k3_s2_2x7x6x3", {2, 7, 6, kOwn}, 3, 2),
         separable_block("k5_s2_2x7x6x3", {2, 7, 6, kOwn}, 5, 2));
OP_CASES(micro_cell, micro_cell("2x4x3x3", {2, 4, 3, kOwn}));
OP_CASES(macro_layer, macro_layer("k3_2x5x4x3", {2, 5, 4, kOwn}, 3),
         macro_layer("k5_2x4x5x3", {2, 4, 5, kOwn}, 5));

}  // namespace
}  // namespace enas::test
