// Many tensors in one launch: a table of what is updated, and of the pieces it is cut into, one a
// block. The cut is a function of the sizes alone.
#pragma once
#include <cstring>
#include <vector>

#include "cuda/elementwise.cuh"
#include "ops/update_pieces.h"

namespace enas::cuda {

// A tensor and those beside it, all of one shape and dtype.
struct PieceItem {
  void* value = nullptr;
  const void* grad = nullptr;  // null counts as zero
  void *slot0 = nullptr, *slot1 = nullptr;
  double* step = nullptr;
  double decay = 0;
  bool is_f64 = false;
  bool aligned = false;  // every array lies at a multiple of 16 bytes
};

// Where the piece begins in one of its item's arrays.
template <class T, class Void>
__device__ __forceinline__ T* piece_of(Void* array, const Piece& piece) {
  return array ? static_cast<T*>(array) + piece.begin : nullptr;
}

// What a kernel gets. A grid of pieces_launch() has a block a piece, and one where there is none.
struct PieceView {
  const PieceItem* items;
  const Piece* pieces;
  int64_t item_count, piece_count;
};

// The table on the device, in one upload; it lives as long as this object.
class PieceTable {
 public:
  static constexpr int64_t kPiece = 1 << 13;  // elements: some 300 blocks for the smallest models

  PieceTable(std::vector<PieceItem> items, const std::vector<int64_t>& sizes)
      : PieceTable(items, cut_pieces(
                              sizes.size(), [&](size_t i) { return sizes[i]; }, kPiece)) {}
  const PieceView& view() const { return view_; }
  unsigned blocks() const {
    return view_.piece_count > 0 ? static_cast<unsigned>(view_.piece_count) : 1;
  }

 private:
  PieceTable(std::vector<PieceItem>& items, const std::vector<Piece>& pieces)
      : scratch_(items.size() * sizeof(PieceItem) + pieces.size() * sizeof(Piece)) {
    const size_t item_bytes = items.size() * sizeof(PieceItem);
    const size_t piece_bytes = pieces.size() * sizeof(Piece);
    std::vector<unsigned char> host(item_bytes + piece_bytes);
    for (PieceItem& item : items) {
      const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
      item.aligned =
          aligned(item.value) && aligned(item.grad) && aligned(item.slot0) && aligned(item.slot1);
    }
    if (item_bytes > 0) std::memcpy(host.data(), items.data(), item_bytes);
    if (piece_bytes > 0) std::memcpy(host.data() + item_bytes, pieces.data(), piece_bytes);
    auto* table = scratch_.as<unsigned char>();
    if (!host.empty()) upload(table, host.data(), host.size());
    view_ = {reinterpret_cast<const PieceItem*>(table),
             reinterpret_cast<const Piece*>(table + item_bytes), static_cast<int64_t>(items.size()),
             static_cast<int64_t>(pieces.size())};
  }

  Scratch scratch_;
  PieceView view_{};
};

// Of the items of grad_norm and the optimizers.
inline PieceTable update_table(std::span<const UpdateItem> items) {
  std::vector<PieceItem> table;
  std::vector<int64_t> sizes;
  for (const UpdateItem& item : items) {
    const auto at = [](const Tensor& t) {
      return t.defined() ? const_cast<void*>(t.raw()) : nullptr;
    };
    table.push_back({at(item.value), at(item.grad), at(item.slot0), at(item.slot1),
                     static_cast<double*>(at(item.step)), item.decay,
                     item.value.dtype() == DType::f64});
    sizes.push_back(item.value.numel());
  }
  return PieceTable(std::move(table), sizes);
}

}  // namespace enas::cuda
