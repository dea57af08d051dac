// Loops of ops/norm_loops.h for f32, over runs of n floats that start at channel 0.
#include "ops/flat_period.simd.h"
#include "ops/norm_lanes.h"

namespace enas::ENAS_ISA_NAMESPACE {
namespace {

// The vector at i, of the lanes at v; `rest` of its lanes count where it is the last one.
template <class F>
inline void for_each_vector(int64_t n, int64_t period, F&& f) {
  int64_t i = 0, v = 0;
  for (; i + kWidth <= n; i += kWidth) {
    f(i, v, int64_t{kWidth});
    v = v + kWidth == period ? 0 : v + kWidth;
  }
  if (i < n) f(i, v, n - i);
}

template <bool kAffine, bool kRelu>
inline void apply(const float* x, const NormLanes& l, float keep, float* y, bool add, int64_t n) {
  for_each_vector(n, l.period, [&](int64_t i, int64_t v, int64_t lanes) {
    Floats z = load_some(x + i, lanes);
    if (kAffine) z = z * load(l.factor + v) + load(l.shift + v);
    if (kRelu) z = max(splat(0.0f), z);
    z *= keep;
    if (add) z += load_some(y + i, lanes);
    store_some(y + i, z, lanes);
  });
}

template <bool kAffine, bool kRelu>
inline Floats passed(Floats x, Floats dy, Floats factor, Floats shift) {
  if (!kRelu) return dy;
  const Floats z = kAffine ? x * factor + shift : x;
  return select(z > 0.0f, dy, splat(0.0f));
}

// Sums of the vectors of one group of lanes; dz is stored where it is not null.
template <bool kAffine, bool kRelu, int N>
inline void sums_group(const float* x, const float* dy, const NormLanes& l, float keep, float* dz,
                       bool add, int64_t n, int64_t v, float* sums) {
  Floats total[N], product[N], factor[N], shift[N], mean[N];
  ENAS_UNROLL for (int g = 0; g < N; ++g) {
    const int64_t at = v + g * kWidth;
    total[g] = load(sums + at), product[g] = load(sums + l.period + at);
    factor[g] = kAffine ? load(l.factor + at) : splat(1.0f);
    shift[g] = kAffine ? load(l.shift + at) : splat(0.0f);
    mean[g] = kAffine ? load(l.mean + at) : splat(0.0f);
  }
  for_each_round<N>(n, v, l.period, [&](int g, int64_t i) {
    const Floats in = load(x + i);
    const Floats up = passed<kAffine, kRelu>(in, load(dy + i) * keep, factor[g], shift[g]);
    total[g] += up;
    product[g] += up * (in - mean[g]);
    if (dz != nullptr) store(dz + i, add ? load(dz + i) + up : up);
  });
  ENAS_UNROLL for (int g = 0; g < N; ++g) {
    store(sums + v + g * kWidth, total[g]);
    store(sums + l.period + v + g * kWidth, product[g]);
  }
}

template <bool kAffine, bool kRelu>
inline void sums_all(const float* x, const float* dy, const NormLanes& l, float keep, float* dz,
                     bool add, int64_t n, float* sums) {
  int64_t v = 0;
  for (; v + 4 * kWidth <= l.period; v += 4 * kWidth) {
    sums_group<kAffine, kRelu, 4>(x, dy, l, keep, dz, add, n, v, sums);
  }
  for (; v < l.period; v += kWidth) {
    sums_group<kAffine, kRelu, 1>(x, dy, l, keep, dz, add, n, v, sums);
  }
  const int64_t body = n / kWidth * kWidth, at = body % l.period;
  if (body == n) return;
  const Floats in = load_tail(x + body, n - body, 0.0f);
  const Floats factor = kAffine ? load(l.factor + at) : splat(1.0f);
  const Floats shift = kAffine ? load(l.shift + at) : splat(0.0f);
  const Floats mean = kAffine ? load(l.mean + at) : splat(0.0f);
  const Floats up =
      passed<kAffine, kRelu>(in, load_tail(dy + body, n - body, 0.0f) * keep, factor, shift);
  store(sums + at, load(sums + at) + up);
  store(sums + l.period + at, load(sums + l.period + at) + up * (in - mean));
  if (dz == nullptr) return;
  const Floats before = add ? load_tail(dz + body, n - body, 0.0f) : splat(0.0f);
  store_tail(dz + body, before + up, n - body);
}

template <bool kAffine, bool kRelu>
inline void backward(const float* x, const float* dy, const NormLanes& l, float keep, float* dx,
                     bool add, int64_t n) {
  for_each_vector(n, l.period, [&](int64_t i, int64_t v, int64_t lanes) {
    const Floats in = load_some(x + i, lanes);
    const Floats dz = passed<kAffine, kRelu>(in, load_some(dy + i, lanes) * keep,
                                             load(l.factor + v), load(l.shift + v));
    Floats down = load(l.by_dz + v) * dz + (load(l.by_x + v) * in + load(l.rest + v));
    if (add) down += load_some(dx + i, lanes);
    store_some(dx + i, down, lanes);
  });
}

}  // namespace

// y (+)= keep f(x).
void norm_apply(const float* x, const NormLanes* l, float keep, float* y, bool add, int64_t n) {
  if (l->affine) {
    return l->relu ? apply<true, true>(x, *l, keep, y, add, n)
                   : apply<true, false>(x, *l, keep, y, add, n);
  }
  l->relu ? apply<false, true>(x, *l, keep, y, add, n)
          : apply<false, false>(x, *l, keep, y, add, n);
}

// sums [2][period] += dz, dz (x - mean), dz = keep dy where z passes; dz (+)= it where not null.
void norm_sums(const float* x, const float* dy, const NormLanes* l, float keep, float* dz, bool add,
               int64_t n, float* sums) {
  if (l->affine) {
    return l->relu ? sums_all<true, true>(x, dy, *l, keep, dz, add, n, sums)
                   : sums_all<true, false>(x, dy, *l, keep, dz, add, n, sums);
  }
  l->relu ? sums_all<false, true>(x, dy, *l, keep, dz, add, n, sums)
          : sums_all<false, false>(x, dy, *l, keep, dz, add, n, sums);
}

// dx (+)= by_dz dz + by_x x + rest.
void norm_backward(const float* x, const float* dy, const NormLanes* l, float keep, float* dx,
                   bool add, int64_t n) {
  l->relu ? backward<true, true>(x, dy, *l, keep, dx, add, n)
          : backward<true, false>(x, dy, *l, keep, dx, add, n);
}

}  // namespace enas::ENAS_ISA_NAMESPACE
