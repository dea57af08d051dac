// What grad_norm and optimizer_update share: the cut of many parameters into pieces, a function of
// their sizes alone, that one parallel region works off; and the checks of items and gates.
#pragma once
#include <algorithm>
#include <vector>

#include "ops/grad_norm.h"
#include "tensor/thread_pool.h"

namespace enas {

struct Piece {
  size_t item;
  int64_t begin, end;  // elements
};

constexpr int64_t kPiece = 1 << 15;  // elements

// numel(i): elements of item i.
template <class Numel>
std::vector<Piece> cut_pieces(size_t items, Numel&& numel, int64_t most = kPiece) {
  std::vector<Piece> pieces;
  for (size_t i = 0; i < items; ++i) {
    const int64_t n = numel(i);
    for (int64_t begin = 0; begin < n; begin += most) {
      pieces.push_back({i, begin, std::min(n, begin + most)});
    }
  }
  return pieces;
}

// Fewer pieces, some 60 us of work, stay with one thread: with two the moments of the controller's
// 100,000 parameters went from core to core, 80 us an update against 58.
constexpr int64_t kPiecesAChunk = 8;

// Calls f(index) for each piece, in parallel.
template <class F>
void for_each_piece(const std::vector<Piece>& pieces, F&& f) {
  parallel_for(static_cast<int64_t>(pieces.size()), kPiecesAChunk, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) f(static_cast<size_t>(p));
  });
}

inline void check_same_kind(const char* op, const char* what, const Tensor& t,
                            const Tensor& value) {
  check(t.defined(), op, "needs ", what, " for a value of shape ", value.shape());
  check(t.shape() == value.shape() && t.dtype() == value.dtype() && t.device() == value.device(),
        op, what, " is ", t.dtype(), " ", t.shape(), ", its value ", value.dtype(), " ",
        value.shape());
}

inline void check_device(const char* op, const char* what, const Tensor& t, Device device) {
  check(t.device() == device, op, what, " is on the ", t.device(), ", the update on the ", device);
}

inline void check_update_item(const char* op, const UpdateItem& item, Device device) {
  check(item.value.defined(), op, "an item has no value");
  check_device(op, "a value", item.value, device);
  check(item.value.dtype() == DType::f32 || item.value.dtype() == DType::f64, op,
        "needs f32 or f64, got ", item.value.dtype());
  if (item.grad.defined()) check_same_kind(op, "gradient", item.grad, item.value);
}

inline void check_gate(const char* op, const Tensor& gate) {
  check(gate.defined() && gate.dtype() == DType::f64 && gate.shape() == Shape{kGateSize}, op,
        "needs the gate of grad_norm, f64 [", kGateSize, "]");
}

}  // namespace enas
