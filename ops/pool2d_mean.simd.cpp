// Average pooling of ops/pool2d.h for f32: rows of one image. Forward and backward are one walk
// over a flat window, with the weight 1 / taps at the result's end or at the source's:
//   y[r, c] = 1 / (taps(r) taps(c)) sum of x        dx[r, c] = sum of dy[o, p] / (taps(o) taps(p))
#include "ops/pool_rows.simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

namespace {

// 1 / the taps of a flat window's output o along an axis of `size`; 0 outside.
inline float share_of(int64_t o, int64_t size) {
  if (o < 0 || o >= size) return 0;
  const int taps = 1 + (o > 0) + (o + 1 < size);
  return 1.0f / static_cast<float>(taps);
}

// The weights of the sources left of, at and right of a column, one for several columns.
struct Weights {
  float left, middle, right;
};
inline Weights weights_of(int64_t column, int64_t width, bool backward) {
  if (backward) {
    return {share_of(column - 1, width), share_of(column, width), share_of(column + 1, width)};
  }
  const float share = share_of(column, width);
  return {share, share, share};
}

template <bool left, bool right>
ENAS_INLINE Floats sum_of_row(const float* at, int64_t channels, const Weights& w) {
  Floats sum = load(at) * w.middle;
  if (left) sum += load(at - channels) * w.left;
  if (right) sum += load(at + channels) * w.right;
  return sum;
}

// Values [begin, end) of the result's rows [from, to).
template <bool left, bool right>
void flat_columns(const float* x, float* y, const PoolShape& s, bool backward, int64_t from,
                  int64_t to, int64_t begin, int64_t end, bool add) {
  const int64_t row = s.width * s.channels;
  const Weights w = weights_of(begin / s.channels, s.width, backward);
  each_vector(
      begin, end, [&](int64_t i, int skip) __attribute__((always_inline)) {
        const auto row_sum = [&](int64_t r) __attribute__((always_inline)) {
          const Floats sum = sum_of_row<left, right>(x + r * row + i, s.channels, w);
          return backward ? sum * share_of(r, s.height) : sum;
        };
        Floats above{}, here = row_sum(from);
        if (from > 0) above = row_sum(from - 1);
        for (int64_t r = from; r < to; ++r) {
          Floats below{};
          if (r + 1 < s.height) below = row_sum(r + 1);
          const Floats sum = above + here + below;
          put(y + r * row + i, backward ? sum : sum * share_of(r, s.height), add, skip);
          above = here, here = below;
        }
      });
}

// Columns [first, last), which have the same weights.
void flat_segment(const float* x, float* y, const PoolShape& s, bool backward, int64_t from,
                  int64_t to, int64_t first, int64_t last, bool add) {
  const int64_t begin = first * s.channels, end = last * s.channels;
  const bool left = first > 0, right = last < s.width;
  if (left && right) {
    flat_columns<true, true>(x, y, s, backward, from, to, begin, end, add);
  } else if (left) {
    flat_columns<true, false>(x, y, s, backward, from, to, begin, end, add);
  } else if (right) {
    flat_columns<false, true>(x, y, s, backward, from, to, begin, end, add);
  } else {
    flat_columns<false, false>(x, y, s, backward, from, to, begin, end, add);
  }
}

// Any window: pixels [begin, end) of result row r.
void any_columns(const float* x, float* y, const PoolShape& s, int64_t r, int64_t begin,
                 int64_t end) {
  const Range rows = taps_of(r, s.stride, s.top, s.kernel, s.height);
  for (int64_t o = begin; o < end; ++o) {
    const Range columns = taps_of(o, s.stride, s.left, s.kernel, s.width);
    const int64_t taps = (rows.end - rows.begin) * (columns.end - columns.begin);
    const float share = 1.0f / static_cast<float>(taps);
    each_run(s.channels, [&](int64_t c, int64_t lanes, int) {
      Floats sum{};
      for (int64_t iy = rows.begin; iy < rows.end; ++iy) {
        for (int64_t ix = columns.begin; ix < columns.end; ++ix) {
          sum += load_some(x + (iy * s.width + ix) * s.channels + c, lanes);
        }
      }
      put(y + (r * s.columns + o) * s.channels + c, sum * share, lanes, false, 0);
    });
  }
}

// 1 / n, from a table for the taps of usual windows.
struct Shares {
  float of[17];
  Shares() {
    for (int n = 1; n < 17; ++n) of[n] = 1.0f / static_cast<float>(n);
  }
  float operator()(const Range& taps) const {
    const int64_t n = taps.end - taps.begin;
    return n < 17 ? of[n] : 1.0f / static_cast<float>(n);
  }
};

// Any window: pixels [begin, end) of dx's row r.
void any_columns_backward(const float* dy, float* dx, const PoolShape& s, const Shares& share,
                          int64_t r, int64_t begin, int64_t end, bool add) {
  const Range rows = readers_of(r, s.stride, s.top, s.kernel, s.rows);
  Range columns = readers_of(begin, s.stride, s.left, s.kernel, s.columns);
  for (int64_t i = begin; i < end; ++i) {
    move_readers(columns, i, s.stride, s.left, s.kernel, s.columns);
    each_run(
        s.channels, [&](int64_t c, int64_t lanes, int skip) __attribute__((always_inline)) {
          Floats sum{};
          for (int64_t oy = rows.begin; oy < rows.end; ++oy) {
            const float down = share(taps_of(oy, s.stride, s.top, s.kernel, s.height));
            for (int64_t ox = columns.begin; ox < columns.end; ++ox) {
              const float across = share(taps_of(ox, s.stride, s.left, s.kernel, s.width));
              sum +=
                  load_some(dy + (oy * s.columns + ox) * s.channels + c, lanes) * (down * across);
            }
          }
          put(dx + (r * s.width + i) * s.channels + c, sum, lanes, add, skip);
        });
  }
}

// Rows [from, to) and columns [first, last), however few.
void any_rows(const float* x, float* y, const PoolShape& s, bool backward, int64_t from, int64_t to,
              int64_t first, int64_t last, bool add) {
  const Shares shares;
  for (int64_t r = from; r < to; ++r) {
    if (backward) {
      any_columns_backward(x, y, s, shares, r, first, last, add);
    } else {
      any_columns(x, y, s, r, first, last);
    }
  }
}

constexpr int64_t kBand = 8;  // rows through which a column of vectors passes at once

void rows_of(const float* x, float* y, const PoolShape& s, bool backward, int64_t from, int64_t to,
             bool add) {
  const int64_t width = backward ? s.width : s.columns;
  if (!s.flat) return any_rows(x, y, s, backward, from, to, 0, width, add);
  for (int64_t r = from; r < to; r += kBand) {
    const int64_t end = r + kBand < to ? r + kBand : to;
    // Only the two outermost columns have weights of their own.
    int64_t first = 0;
    const int64_t borders[] = {1, 2, width - 2, width - 1, width};
    for (const int64_t last : borders) {
      if (last <= first || last > width) continue;
      if ((last - first) * s.channels >= kWidth) {
        flat_segment(x, y, s, backward, r, end, first, last, add);
      } else {
        any_rows(x, y, s, backward, r, end, first, last, add);
      }
      first = last;
    }
  }
}

}  // namespace

// Rows [from, to) of one image's result.
void avg_pool_rows(const float* x, float* y, PoolShape s, int64_t from, int64_t to) {
  rows_of(x, y, s, false, from, to, false);
}

// Rows [from, to) of one image's dx.
void avg_pool_rows_backward(const float* dy, float* dx, PoolShape s, int64_t from, int64_t to,
                            bool add) {
  rows_of(dy, dx, s, true, from, to, add);
}

}  // namespace enas::ENAS_ISA_NAMESPACE
