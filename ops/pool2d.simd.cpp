// Maximum pooling of ops/pool2d.h for f32: rows of one image. A flat window is taken apart: first
// the best of a row's three taps, kept while the window moves down, then the best of three rows;
// ties go to the earlier tap in both, so to the first of the nine. Places are single bytes.
#include "ops/pool_rows.simd.h"
#if defined(__SSE4_1__)
#include <immintrin.h>
#endif

namespace enas::ENAS_ISA_NAMESPACE {

#if defined(__AVX512BW__) && defined(__AVX512VL__)
typedef __mmask16 Lanes;
typedef __m128i Places;  // one byte a lane
ENAS_INLINE Places places(int k) { return _mm_set1_epi8(static_cast<char>(k)); }
ENAS_INLINE Places load_places(const uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
ENAS_INLINE void store_places(uint8_t* p, Places v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), v);
}
ENAS_INLINE Places choose(Lanes where, Places a, Places b) {
  return _mm_mask_blend_epi8(where, b, a);
}
ENAS_INLINE Places plus(Places a, Places b) { return _mm_add_epi8(a, b); }
ENAS_INLINE Lanes equal(Places a, Places b) { return _mm_cmpeq_epi8_mask(a, b); }
ENAS_INLINE Lanes greater(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
ENAS_INLINE Lanes unordered(Floats a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
ENAS_INLINE Lanes either(Lanes a, Lanes b) { return static_cast<Lanes>(a | b); }
ENAS_INLINE bool any(Lanes a) { return a != 0; }
ENAS_INLINE Floats choose(Lanes where, Floats a, Floats b) {
  return _mm512_mask_blend_ps(where, b, a);
}
ENAS_INLINE Floats larger(Floats a, Floats b) { return a > b ? a : b; }
ENAS_INLINE Floats add_where(Lanes where, Floats sum, Floats v) {
  return _mm512_mask_add_ps(sum, where, sum, v);
}
#else
typedef Ints Lanes;
typedef Ints Places;
ENAS_INLINE Places places(int k) { return splat(int32_t{k}); }
#if defined(__AVX2__)
ENAS_INLINE Places load_places(const uint8_t* p) {
  return reinterpret_cast<Ints>(
      _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
ENAS_INLINE void store_places(uint8_t* p, Places v) {
  const __m256i wide = reinterpret_cast<__m256i>(v);
  const __m128i lowest = _mm_set1_epi32(0x0c080400);
  const __m128i low = _mm_shuffle_epi8(_mm256_castsi256_si128(wide), lowest);
  const __m128i high = _mm_shuffle_epi8(_mm256_extracti128_si256(wide, 1), lowest);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_unpacklo_epi32(low, high));
}
#elif defined(__SSE4_1__)
typedef int32_t LooseInt __attribute__((aligned(1), may_alias));
ENAS_INLINE Places load_places(const uint8_t* p) {
  return reinterpret_cast<Ints>(
      _mm_cvtepu8_epi32(_mm_cvtsi32_si128(*reinterpret_cast<const LooseInt*>(p))));
}
ENAS_INLINE void store_places(uint8_t* p, Places v) {
  *reinterpret_cast<LooseInt*>(p) =
      _mm_cvtsi128_si32(_mm_shuffle_epi8(reinterpret_cast<__m128i>(v), _mm_set1_epi32(0x0c080400)));
}
#else
ENAS_INLINE Places load_places(const uint8_t* p) {
  Places v{};
  for (int i = 0; i < kWidth; ++i) v[i] = p[i];
  return v;
}
ENAS_INLINE void store_places(uint8_t* p, Places v) {
  for (int i = 0; i < kWidth; ++i) p[i] = static_cast<uint8_t>(v[i]);
}
#endif
ENAS_INLINE Places choose(Lanes where, Places a, Places b) { return where ? a : b; }
ENAS_INLINE Places plus(Places a, Places b) { return a + b; }
ENAS_INLINE Lanes equal(Places a, Places b) { return a == b; }
ENAS_INLINE Lanes greater(Floats a, Floats b) { return a > b; }
ENAS_INLINE Lanes unordered(Floats a) { return a != a; }
ENAS_INLINE Lanes either(Lanes a, Lanes b) { return a | b; }
ENAS_INLINE bool any(Lanes a) {
  int32_t all = 0;
  for (int i = 0; i < kWidth; ++i) all |= a[i];
  return all != 0;
}
ENAS_INLINE Floats choose(Lanes where, Floats a, Floats b) { return where ? a : b; }
ENAS_INLINE Floats larger(Floats a, Floats b) { return a > b ? a : b; }
ENAS_INLINE Floats add_where(Lanes where, Floats sum, Floats v) {
  return sum + select(where, v, Floats{});
}
#endif

namespace {

struct Best {
  Floats value;
  Places place;
};
// `next` comes later in the window.
ENAS_INLINE void take_larger(Best& best, Floats value, Places place) {
  best.place = choose(greater(value, best.value), place, best.place);
  best.value = larger(value, best.value);
}

// Of the taps left of, at and right of `at`, as far as they are there; places 0 to 2.
template <bool left, bool right>
ENAS_INLINE Best best_of_row(const float* at, int64_t channels, Lanes& nan) {
  const Floats middle = load(at);
  nan = either(nan, unordered(middle));
  Best best{middle, places(1)};
  if (left) {
    best = {load(at - channels), places(0)};
    take_larger(best, middle, places(1));
  }
  if (right) take_larger(best, load(at + channels), places(2));
  return best;
}

// Columns [begin, end) of the result's rows [from, to); false where a NaN was met.
template <bool left, bool right, bool indexed>
bool flat_columns(const float* x, float* y, uint8_t* index, const PoolShape& s, int64_t from,
                  int64_t to, int64_t begin, int64_t end) {
  const int64_t row = s.width * s.channels;
  Lanes nan{};
  each_vector(
      begin, end, [&](int64_t i, int) __attribute__((always_inline)) {
        const float* at = x + from * row + i;
        Best above{}, here = best_of_row<left, right>(at, s.channels, nan);
        if (from > 0) above = best_of_row<left, right>(at - row, s.channels, nan);
        for (int64_t r = from; r < to; ++r) {
          Best best{here.value, plus(here.place, places(3))}, below{};
          if (r > 0) {
            best = above;
            take_larger(best, here.value, plus(here.place, places(3)));
          }
          if (r + 1 < s.height) {
            at += row;
            below = best_of_row<left, right>(at, s.channels, nan);
            take_larger(best, below.value, plus(below.place, places(6)));
          }
          store(y + r * row + i, best.value);
          if (indexed) store_places(index + r * row + i, best.place);
          above = here, here = below;
        }
      });
  return !any(nan);
}

// Any window: pixels [begin, end) of result row r, by runs of channels. A NaN is the largest.
template <bool indexed>
void any_columns(const float* x, float* y, uint8_t* index, const PoolShape& s, int64_t r,
                 int64_t begin, int64_t end) {
  const int64_t channels = s.channels;
  const Range rows = taps_of(r, s.stride, s.top, s.kernel, s.height);
  for (int64_t o = begin; o < end; ++o) {
    const Range columns = taps_of(o, s.stride, s.left, s.kernel, s.width);
    const int64_t to = (r * s.columns + o) * channels;
    each_run(channels, [&](int64_t c, int64_t lanes, int) {
      Best best{};
      bool first = true;
      for (int64_t iy = rows.begin; iy < rows.end; ++iy) {
        const int64_t tap = (iy + s.top - r * s.stride) * s.kernel + s.left - o * s.stride;
        for (int64_t ix = columns.begin; ix < columns.end; ++ix, first = false) {
          const Floats v = load_some(x + (iy * s.width + ix) * channels + c, lanes);
          const Places place = places(static_cast<int>(tap + ix));
          if (first) best = {v, place};
          const Lanes wins = either(greater(v, best.value), unordered(v));
          best = {choose(wins, v, best.value), choose(wins, place, best.place)};
        }
      }
      put(y + to + c, best.value, lanes, false, 0);
      if (indexed && lanes == kWidth) {
        store_places(index + to + c, best.place);
      } else if (indexed) {
        uint8_t bytes[kWidth];
        store_places(bytes, best.place);
        for (int64_t l = 0; l < lanes; ++l) index[to + c + l] = bytes[l];
      }
    });
  }
}

template <bool indexed>
void max_rows(const float* x, float* y, uint8_t* index, const PoolShape& s, int64_t from,
              int64_t to) {
  const int64_t c = s.channels, row = s.width * c;
  bool whole = s.flat && c >= kWidth;
  if (whole && s.width == 1) {
    whole = flat_columns<false, false, indexed>(x, y, index, s, from, to, 0, c);
  } else if (whole) {
    whole = flat_columns<false, true, indexed>(x, y, index, s, from, to, 0, c);
    if (s.width > 2)
      whole &= flat_columns<true, true, indexed>(x, y, index, s, from, to, c, row - c);
    whole &= flat_columns<true, false, indexed>(x, y, index, s, from, to, row - c, row);
  } else if (s.flat && row - 2 * c >= kWidth) {  // few channels
    whole = flat_columns<true, true, indexed>(x, y, index, s, from, to, c, row - c);
    for (int64_t r = from; whole && r < to; ++r) {
      any_columns<indexed>(x, y, index, s, r, 0, 1);
      any_columns<indexed>(x, y, index, s, r, s.columns - 1, s.columns);
    }
  }
  if (whole) return;
  for (int64_t r = from; r < to; ++r) any_columns<indexed>(x, y, index, s, r, 0, s.columns);
}

// Columns [begin, end) of dx's rows [from, to). Output row o gives to the rows o - 1, o and o + 1,
// whose sums move along with it.
template <bool left, bool right>
void flat_columns_backward(const uint8_t* index, const float* dy, float* dx, const PoolShape& s,
                           int64_t from, int64_t to, int64_t begin, int64_t end, bool add) {
  const int64_t row = s.width * s.channels;
  const int64_t first = from > 0 ? from - 1 : 0, last = to < s.height ? to : s.height - 1;
  each_vector(
      begin, end, [&](int64_t i, int skip) __attribute__((always_inline)) {
        Floats above{}, here{}, below{};
        const auto give = [&](int64_t at, int column) __attribute__((always_inline)) {
          const Floats g = load(dy + at);
          const Places taken = load_places(index + at);
          above = add_where(equal(taken, places(column)), above, g);
          here = add_where(equal(taken, places(3 + column)), here, g);
          below = add_where(equal(taken, places(6 + column)), below, g);
        };
        for (int64_t o = first; o <= last; ++o) {
          const int64_t at = o * row + i;
          if (left) give(at - s.channels, 2);
          give(at, 1);
          if (right) give(at + s.channels, 0);
          if (o > from) put(dx + at - row, above, add, skip);
          above = here, here = below, below = Floats{};
        }
        if (to == s.height) put(dx + (to - 1) * row + i, above, add, skip);
      });
}

// Any window: pixels [begin, end) of dx's row r.
void any_columns_backward(const uint8_t* index, const float* dy, float* dx, const PoolShape& s,
                          int64_t r, int64_t begin, int64_t end, bool add) {
  const int64_t channels = s.channels;
  const Range rows = readers_of(r, s.stride, s.top, s.kernel, s.rows);
  Range columns = readers_of(begin, s.stride, s.left, s.kernel, s.columns);
  for (int64_t i = begin; i < end; ++i) {
    move_readers(columns, i, s.stride, s.left, s.kernel, s.columns);
    float* to = dx + (r * s.width + i) * channels;
    each_run(channels, [&](int64_t c, int64_t lanes, int skip) {
      Floats sum{};
      for (int64_t oy = rows.begin; oy < rows.end; ++oy) {
        const int64_t tap = (r + s.top - oy * s.stride) * s.kernel + i + s.left;
        for (int64_t ox = columns.begin; ox < columns.end; ++ox) {
          const int64_t at = (oy * s.columns + ox) * channels + c;
          uint8_t bytes[kWidth] = {};
          for (int64_t l = 0; lanes < kWidth && l < lanes; ++l) bytes[l] = index[at + l];
          const Places taken = load_places(lanes == kWidth ? index + at : bytes);
          const Places place = places(static_cast<int>(tap - ox * s.stride));
          sum = add_where(equal(taken, place), sum, load_some(dy + at, lanes));
        }
      }
      put(to + c, sum, lanes, add, skip);
    });
  }
}

}  // namespace

constexpr int64_t kBand = 8;  // rows through which a column of vectors passes at once

// Rows [from, to) of one image's result; index may be null.
void max_pool_rows(const float* x, float* y, uint8_t* index, PoolShape s, int64_t from,
                   int64_t to) {
  for (int64_t r = from; r < to; r += kBand) {
    const int64_t end = r + kBand < to ? r + kBand : to;
    if (index) {
      max_rows<true>(x, y, index, s, r, end);
    } else {
      max_rows<false>(x, y, index, s, r, end);
    }
  }
}

// Rows [from, to) of one image's dx.
void max_pool_rows_backward(const uint8_t* index, const float* dy, float* dx, PoolShape s,
                            int64_t from, int64_t to, bool add) {
  const int64_t c = s.channels, row = s.width * c;
  const bool flat = s.flat && s.width > 1 && row - 2 * c >= kWidth;
  for (int64_t r = from; r < to; r += kBand) {
    const int64_t end = r + kBand < to ? r + kBand : to;
    if (flat) {
      flat_columns_backward<true, true>(index, dy, dx, s, r, end, c, row - c, add);
    }
    if (flat && c >= kWidth) {
      flat_columns_backward<false, true>(index, dy, dx, s, r, end, 0, c, add);
      flat_columns_backward<true, false>(index, dy, dx, s, r, end, row - c, row, add);
      continue;
    }
    for (int64_t i = r; i < end; ++i) {
      if (flat) {
        any_columns_backward(index, dy, dx, s, i, 0, 1, add);
        any_columns_backward(index, dy, dx, s, i, s.width - 1, s.width, add);
      } else {
        any_columns_backward(index, dy, dx, s, i, 0, s.width, add);
      }
    }
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
