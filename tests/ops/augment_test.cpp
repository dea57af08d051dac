#include "ops/augment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/op_cases.h"

namespace enas::test {
namespace {

constexpr Random kRandom{11, Stream::test, 3};

AugmentOptions options(int64_t pad, bool flip, int64_t cutout, bool corner) {
  AugmentOptions o;
  o.pad = pad, o.flip = flip, o.cutout = cutout, o.corner = corner;
  o.mean = {0.4914, 0.4822, 0.4465}, o.deviation = {0.247, 0.2435, 0.2616};
  return o;
}

// Step by step, as the sources do it: normalise, pad with zeros, crop, flip, cut out.
Values reference(const Shape& set, const AugmentOptions& o, const std::vector<Values>& in) {
  const int64_t h = set[1], w = set[2];
  Values all;
  for (const double index : in[1]) {
    const auto draw = static_cast<uint64_t>(index) + 5;
    const auto below = [&](int64_t n, uint64_t word) {
      return static_cast<int64_t>(kRandom.below(static_cast<uint32_t>(n), 8 * draw + word));
    };
    const int64_t ph = h + 2 * o.pad, pw = w + 2 * o.pad;
    Values padded(static_cast<size_t>(ph * pw * 3));
    for (int64_t y = 0; y < h; ++y)
      for (int64_t x = 0; x < w; ++x)
        for (int64_t c = 0; c < 3; ++c) {
          const double v =
              in[0][static_cast<size_t>(((static_cast<int64_t>(index) * h + y) * w + x) * 3 + c)];
          const auto k = static_cast<size_t>(c);
          padded[static_cast<size_t>(((y + o.pad) * pw + x + o.pad) * 3 + c)] =
              (v / 255 - o.mean[k]) / o.deviation[k];
        }
    const int64_t top = below(2 * o.pad + 1, 0), left = below(2 * o.pad + 1, 1);
    const bool flip = o.flip && below(2, 2) == 1;
    const int64_t cy = below(h, 4), cx = below(w, 5), half = o.corner ? 0 : o.cutout / 2;
    for (int64_t y = 0; y < h; ++y)
      for (int64_t x = 0; x < w; ++x)
        for (int64_t c = 0; c < 3; ++c) {
          const int64_t from = left + (flip ? w - 1 - x : x);
          const bool cut = o.cutout > 0 && y >= cy - half && y < cy - half + o.cutout &&
                           x >= cx - half && x < cx - half + o.cutout;
          all.push_back(cut ? 0 : padded[static_cast<size_t>(((top + y) * pw + from) * 3 + c)]);
        }
  }
  return all;
}

// Inputs: pixels and indices as i32, and a dummy that gives dtype and device.
OpCase row(const char* label, const Shape& set, int64_t batch, const AugmentOptions& o) {
  OpCase c;
  c.label = label;
  c.inputs = {indices(set, 256), indices({batch}, set[0]), constant({1})};
  c.op = [set, o](Tape&, const std::vector<Var>& v) {
    const Device device = v[0].value().device();
    AugmentOptions own = o;
    own.dtype = v[2].dtype();
    const Tensor images = Tensor::from(v[0].value().to_vector(), set, DType::u8).to(device);
    return std::vector<Var>{augment(images, v[1].value(), own, kRandom, 5)};
  };
  c.reference = [set, o](const std::vector<Values>& in) {
    return std::vector<Values>{reference(set, o, in)};
  };
  c.gradient = false;
  return c;
}

OP_CASES(augment, row("3x7x5_plain", {3, 7, 5, 3}, 4, options(0, false, 0, false)),
         row("9x7x5_all", {9, 7, 5, 3}, 20, options(2, true, 4, false)),
         row("9x7x5_corner", {9, 7, 5, 3}, 20, options(2, true, 4, true)),
         row("9x6x8_odd_square", {9, 6, 8, 3}, 20, options(1, false, 5, false)),
         row("4x32x32_all", {4, 32, 32, 3}, 6, options(4, true, 16, false)),
         row("4x32x32_crop_flip", {4, 32, 32, 3}, 6, options(4, true, 0, false)),
         row("2x3x4_wide_pad", {2, 3, 4, 3}, 9, options(7, true, 9, true)));

Tensor counted(int64_t count, int64_t side) {
  Values v(static_cast<size_t>(count * side * side * 3));
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<double>(i * 7 % 255 + 1);
  return Tensor::from(v, {count, side, side, 3}, DType::u8);
}

TEST(Augment, AnImageHasItsOwnDrawWhereverItStands) {
  const Tensor set = counted(6, 9);
  const AugmentOptions o = options(3, true, 4, false);
  const Tensor forth = augment(set, Tensor::from_indices({0, 1, 2, 3, 4, 5}, {6}), o, kRandom);
  const Tensor back = augment(set, Tensor::from_indices({5, 3, 1}, {3}), o, kRandom);
  for (const auto& [a, b] : {std::pair{5, 0}, {3, 1}, {1, 2}}) {
    EXPECT_EQ(forth.slice(a, a + 1).to_vector(), back.slice(b, b + 1).to_vector());
  }
  const Tensor later = augment(set, Tensor::from_indices({5, 3, 1}, {3}), o, {11, Stream::test, 4});
  EXPECT_NE(later.to_vector(), back.to_vector());
}

// Over many draws every shift, both directions and every centre come up.
TEST(Augment, DrawsCoverTheirRanges) {
  for (const bool corner : {false, true}) {
    const AugmentRule rule{8, 6, 4, 3, true, corner};
    std::set<int32_t> down, right, top, left;
    int flips = 0;
    for (int64_t i = 0; i < 2000; ++i) {
      const AugmentDraw d = augment_draw(rule, kRandom, i);
      down.insert(d.down), right.insert(d.right), top.insert(d.top), left.insert(d.left);
      flips += d.flip;
      EXPECT_EQ(d.bottom - d.top, 3);
      EXPECT_EQ(d.last - d.left, 3);
    }
    const int32_t first = corner ? 0 : -1;
    EXPECT_EQ(down, (std::set<int32_t>{-4, -3, -2, -1, 0, 1, 2, 3, 4}));
    EXPECT_EQ(right, down);
    EXPECT_EQ(*top.begin(), first);
    EXPECT_EQ(top.size(), 8u);
    EXPECT_EQ(*left.begin(), first);
    EXPECT_EQ(left.size(), 6u);
    EXPECT_GT(flips, 900);
    EXPECT_LT(flips, 1100);
  }
}

TEST(Augment, PlainIsNormalisationOnly) {
  const Tensor set = counted(2, 4);
  const Tensor y =
      augment(set, Tensor::from_indices({1}, {1}), options(4, true, 16, true).plain(), kRandom);
  const Values in = set.to_vector(), out = y.to_vector();
  const AugmentOptions o = options(0, false, 0, false);
  for (size_t i = 0; i < out.size(); ++i) {
    EXPECT_NEAR(out[i], (in[48 + i] / 255 - o.mean[i % 3]) / o.deviation[i % 3], 1e-5);
  }
}

TEST(Augment, WhatDoesNotFitIsRefused) {
  const Tensor set = counted(2, 4), one = Tensor::from_indices({0}, {1});
  const AugmentOptions o = options(1, true, 2, false);
  EXPECT_THROW(augment(Tensor::zeros({2, 4, 4, 3}), one, o, kRandom), Error);
  EXPECT_THROW(augment(Tensor::zeros({2, 4, 4, 1}, DType::u8), one, o, kRandom), Error);
  EXPECT_THROW(augment(set, Tensor::zeros({1}), o, kRandom), Error);
  EXPECT_THROW(augment(set, one, options(-1, true, 0, false), kRandom), Error);
  for (const int32_t index : {-1, 2}) {
    try {
      augment(set, Tensor::from_indices({0, index}, {2}), o, kRandom);
      FAIL() << index << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
    }
  }
  AugmentOptions flat = o;
  flat.deviation[1] = 0;
  EXPECT_THROW(augment(set, one, flat, kRandom), Error);
  EXPECT_EQ(augment(set, Tensor::from_indices({}, {0}), o, kRandom).numel(), 0);
}

}  // namespace
}  // namespace enas::test
