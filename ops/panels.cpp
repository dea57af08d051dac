#include "ops/panels.h"

#include <algorithm>

namespace enas {
namespace {

// Vectors of columns, shared out to panels of nearly equal width; panels.simd.cpp does the same.
struct Layout {
  explicit Layout(int64_t n) : columns(n) {
    int floats = 0, most = 0;
    panels_geometry(&floats, &most);
    width = floats;
    total = (n + width - 1) / width;
    count = (total + most - 1) / most;
  }
  int64_t first(int64_t p) const { return total * p / count * width; }  // column
  int64_t columns, width, total, count;
};

}  // namespace

int64_t panels_size(int64_t depth, int64_t columns) {
  const Layout layout(columns);
  return depth * layout.total * layout.width;
}

void panels_pack(const float* w, int64_t row, int64_t column, int64_t at, int64_t depth,
                 int64_t total, int64_t columns, float* panels) {
  const Layout shape(columns);
  for (int64_t p = 0; p < shape.count; ++p) {
    const int64_t first = shape.first(p), padded = shape.first(p + 1) - first;
    const int64_t used = std::min(padded, columns - first);
    // More than 1: the last columns lie so many rows a vector, behind the panel's whole vectors.
    const int64_t fold = used < padded ? panels_fold(columns, total) : 1;
    const int64_t pitch = fold > 1 ? padded - shape.width : padded;
    float* const panel = panels + total * first;
    float* to = panel + at * pitch;
    // A ragged last vector ends with the last column; of a matrix narrower than one, with zeros.
    const int64_t whole = used == padded ? padded : padded - shape.width;
    const int64_t ragged = columns < shape.width ? 0 : used - shape.width;
    for (int64_t k = 0; k < depth; ++k, to += pitch) {
      const float* const from = w + k * row + first * column;
      if (column == 1) {
        std::copy_n(from, whole, to);
      } else {
        for (int64_t j = 0; j < whole; ++j) to[j] = from[j * column];
      }
      for (int64_t j = whole; j < pitch; ++j) {
        const int64_t source = ragged + j - whole;
        to[j] = source < used ? from[source * column] : 0.0f;
      }
      if (fold == 1) continue;
      float* const few = panel + total * pitch + (at + k) / fold * shape.width + (at + k) % fold;
      for (int64_t j = 0; j < shape.width / fold; ++j)
        few[fold * j] = whole + j < used ? from[(whole + j) * column] : 0.0f;
    }
  }
}

}  // namespace enas
