// Shape: up to six extents, row-major (the last axis is contiguous). Rank 0 is a scalar.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>

#include "tensor/check.h"

namespace enas {

class Shape {
 public:
  static constexpr int kMaxRank = 6;
  static constexpr int64_t kMost = int64_t{1} << 56;  // elements, so that bytes fit a size_t

  Shape() = default;
  Shape(std::initializer_list<int64_t> extents) {
    for (const int64_t extent : extents) push_back(extent);
  }
  void push_back(int64_t extent) {
    check(rank_ < kMaxRank, "shape", "rank is at most ", kMaxRank);
    check(extent >= 0, "shape", "extent must not be negative, got ", extent);
    extents_[static_cast<size_t>(rank_++)] = extent;
  }
  int rank() const { return rank_; }
  // Axis -1 is the last one.
  int64_t operator[](int axis) const { return extents_[static_cast<size_t>(at(axis))]; }
  void set(int axis, int64_t extent) {
    check(extent >= 0, "shape", "extent must not be negative, got ", extent);
    extents_[static_cast<size_t>(at(axis))] = extent;
  }
  int64_t numel() const { return product(rank_); }
  // All axes but the last as one: the number of rows of a row-wise op.
  int64_t rows() const { return product(rank_ - 1); }
  bool operator==(const Shape& other) const {
    if (rank_ != other.rank_) return false;
    for (int i = 0; i < rank_; ++i) {
      if (extents_[static_cast<size_t>(i)] != other.extents_[static_cast<size_t>(i)]) return false;
    }
    return true;
  }
  friend std::ostream& operator<<(std::ostream& out, const Shape& shape) {
    out << '[';
    for (int i = 0; i < shape.rank_; ++i) out << (i ? ", " : "") << shape[i];
    return out << ']';
  }

 private:
  int64_t product(int axes) const {  // of the first ones
    int64_t n = 1;
    bool overflow = false;
    for (int i = 0; i < axes; ++i)
      overflow |= __builtin_mul_overflow(n, extents_[static_cast<size_t>(i)], &n);
    check(!overflow && n <= kMost, "shape", "more than 2^56 elements in ", *this);
    return n;
  }
  int at(int axis) const {
    const int i = axis < 0 ? axis + rank_ : axis;
    check(i >= 0 && i < rank_, "shape", "axis ", axis, " of a shape of rank ", rank_);
    return i;
  }
  std::array<int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

}  // namespace enas
