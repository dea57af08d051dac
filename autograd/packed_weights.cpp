#include "autograd/packed_weights.h"

#include <algorithm>

namespace enas {

const PackedMatrix& PackedWeights::get(const Tensor& w, bool transpose, int64_t first, int64_t rows,
                                       int parts) {
  const float* const values = w.data<float>();
  auto entry = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) {
    return e.w.data<float>() == values && e.w.shape() == w.shape() && e.transpose == transpose &&
           e.first == first && e.rows == rows && e.parts == parts;
  });
  if (entry == entries_.end()) {
    entry = entries_.insert(entry, {w, w.version(), transpose, first, rows, parts, {}, 0});
  }
  if (!entry->packed.defined() || entry->version != w.version() || entry->packed.isa() != isa()) {
    const int64_t columns = w.size(1);
    entry->packed = PackedMatrix();  // its memory first
    entry->packed = PackedMatrix(transpose, transpose ? columns : rows, transpose ? rows : columns,
                                 values + first * columns, columns, parts);
    entry->version = w.version();
  }
  entry->used = ++uses_;
  return entry->packed;
}

void PackedWeights::drop(bool transpose) {
  std::erase_if(entries_, [&](const Entry& e) { return e.transpose == transpose; });
}

void PackedWeights::drop(const Tensor& w) {
  std::erase_if(entries_, [&](const Entry& e) { return e.w.raw() == w.raw(); });
}

void PackedWeights::keep_latest(int64_t bytes) {
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.used > b.used; });
  const auto first = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) {
    bytes -= e.packed.bytes();
    return bytes < 0;
  });
  entries_.erase(first, entries_.end());
}

}  // namespace enas
