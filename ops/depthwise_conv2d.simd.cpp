// Vector kernels of depthwise convolution, 3x3 and 5x5, stride 1 and 2, one image at a time: image
// rows are runs of W * C floats (ops/flat_period.simd.h), a tap is an offset of whole pixels, and
// neighbouring output rows share their loads. Layouts: ops/image_plan.h.
#include "ops/flat_period.simd.h"
#include "ops/image_plan.h"

namespace enas::ENAS_ISA_NAMESPACE {
namespace {

inline void copy_floats(float* to, const float* from, int64_t n) {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store(to + i, load(from + i));
  for (; i < n; ++i) to[i] = from[i];
}

// The sums over windows of R output rows at vector i, whose lanes are at v.
template <int K, int S, int R>
inline void window_sums(const ImagePlan& p, const float* in, const float* weights, int64_t i,
                        int64_t v, Floats (&sum)[R]) {
  ENAS_UNROLL for (int q = 0; q < R; ++q) sum[q] = splat(0.0f);
  ENAS_UNROLL for (int kx = 0; kx < K; ++kx) {
    const float* tap = in + i + (kx % S) * p.plane + (kx / S) * p.channels;
    Floats w[K];
    ENAS_UNROLL for (int ky = 0; ky < K; ++ky) w[ky] = load(weights + (ky * K + kx) * p.period + v);
    ENAS_UNROLL for (int r = 0; r < (R - 1) * S + K; ++r) {
      const Floats x = load(tap + r * p.frame_row);
      ENAS_UNROLL for (int q = 0; q < R; ++q) {
        if (r - q * S >= 0 && r - q * S < K) sum[q] += x * w[r - q * S];
      }
    }
  }
}

// R output rows of n floats from the frame rows at `in`.
template <int K, int S, int R>
inline void output_rows(const ImagePlan& p, const float* in, const float* weights, int64_t n,
                        float* out) {
  int64_t i = 0, v = 0;
  Floats sum[R];
  for (; i + kWidth <= n; i += kWidth) {
    window_sums<K, S, R>(p, in, weights, i, v, sum);
    ENAS_UNROLL for (int q = 0; q < R; ++q) store(out + q * n + i, sum[q]);
    v = v + kWidth == p.period ? 0 : v + kWidth;
  }
  if (i == n) return;
  window_sums<K, S, R>(p, in, weights, i, v, sum);
  ENAS_UNROLL for (int q = 0; q < R; ++q) store_tail(out + q * n + i, sum[q], n - i);
}

// Output rows [first, last), R at a time while there are so many; returns the first one left.
template <int K, int S, int R>
inline int64_t rows_by(const ImagePlan& p, const float* frame, const float* weights, int64_t first,
                       int64_t last, float*& out) {
  const int64_t n = p.out_width * p.channels;
  for (; first + R <= last; first += R, out += R * n) {
    output_rows<K, S, R>(p, frame + first * S * p.frame_row, weights, n, out);
  }
  return first;
}
template <int K, int S>
inline void all_rows(const ImagePlan& p, const float* frame, const float* weights, int64_t first,
                     int64_t last, float* out) {
  // Eight sums are as many as two FMAs a cycle keep busy; four, and loads of weights between them,
  // took 1.25 times as long for 5x5.
  if constexpr (kWidth == 16) first = rows_by<K, S, 8>(p, frame, weights, first, last, out);
  first = rows_by<K, S, 4>(p, frame, weights, first, last, out);
  rows_by<K, S, 1>(p, frame, weights, first, last, out);
}

// Lanes of w[ky0 + a][kx], a < A, at v: all sums in registers over the whole image.
template <int K, int S, int A, int R>
inline void weight_lanes(const ImagePlan& p, const float* frame, const float* dt, int ky0,
                         int64_t v, float* lanes) {
  const int64_t n = p.out_width * p.channels, step = p.period;
  Floats sum[A][K];
  ENAS_UNROLL for (int a = 0; a < A; ++a) {
    ENAS_UNROLL for (int kx = 0; kx < K; ++kx) {
      sum[a][kx] = load(lanes + ((ky0 + a) * K + kx) * p.period + v);
    }
  }
  const auto add = [&](const float* in, const float* up, int64_t rest) {
    Floats g[R];
    ENAS_UNROLL for (int q = 0; q < R; ++q) {
      const float* const at = up + q * p.dt_row;
      g[q] = load_some(at, rest);
    }
    ENAS_UNROLL for (int r = 0; r < (R - 1) * S + A; ++r) {
      ENAS_UNROLL for (int kx = 0; kx < K; ++kx) {
        const Floats x = load(in + r * p.frame_row + (kx % S) * p.plane + (kx / S) * p.channels);
        ENAS_UNROLL for (int q = 0; q < R; ++q) {
          if (r - q * S >= 0 && r - q * S < A) sum[r - q * S][kx] += x * g[q];
        }
      }
    }
  };
  for (int64_t y = 0; y + R <= p.out_height; y += R) {
    const float *in = frame + (y * S + ky0) * p.frame_row, *up = dt + y * p.dt_row;
    int64_t i = v;
    for (; i + kWidth <= n; i += step) add(in + i, up + i, kWidth);
    if (i < n) add(in + i, up + i, n - i);
  }
  ENAS_UNROLL for (int a = 0; a < A; ++a) {
    ENAS_UNROLL for (int kx = 0; kx < K; ++kx) {
      store(lanes + ((ky0 + a) * K + kx) * p.period + v, sum[a][kx]);
    }
  }
}

// As many kernel rows at a time as there are registers for.
template <int K, int S, int R>
inline void weight_rows(const ImagePlan& p, const float* frame, const float* dt, float* lanes) {
#if defined(__AVX512F__)
  constexpr int A = K;
#else
  constexpr int A = K == 3 ? 3 : 2;
#endif
  for (int64_t v = 0; v < p.period; v += kWidth) {
    int ky = 0;
    for (; ky + A <= K; ky += A) weight_lanes<K, S, A, R>(p, frame, dt, ky, v, lanes);
    if constexpr (K % A != 0) weight_lanes<K, S, K % A, R>(p, frame, dt, ky, v, lanes);
  }
}
template <int K, int S>
inline void weight_all(const ImagePlan& p, const float* frame, const float* dt, float* lanes) {
  constexpr int R = K == 3 ? 4 : 2;
  ImagePlan part = p;
  part.out_height = p.out_height / R * R;
  weight_rows<K, S, R>(part, frame, dt, lanes);
  int64_t y = part.out_height;
  for (part.out_height = 1; y < p.out_height; ++y) {
    weight_rows<K, S, 1>(part, frame + y * S * p.frame_row, dt + y * p.dt_row, lanes);
  }
}

// out[n floats] = sum over taps of in * w.
inline void tap_sums(const float* const* in, const float* const* weights, int taps, int64_t n,
                     int64_t period, float* out) {
  int64_t v = 0;
  for (int64_t i = 0; i < n; i += kWidth) {
    Floats sum = splat(0.0f);
    for (int t = 0; t < taps; ++t) sum += load(in[t] + i) * load(weights[t] + v);
    store_some(out + i, sum, n - i);
    v = v + kWidth == period ? 0 : v + kWidth;
  }
}

}  // namespace

// Output rows [first, last) of the frame, one after another.
void depthwise_rows(const ImagePlan* p, const float* frame, const float* weights, int64_t first,
                    int64_t last, float* out) {
  if (p->stride == 1) {
    return p->kernel == 3 ? all_rows<3, 1>(*p, frame, weights, first, last, out)
                          : all_rows<5, 1>(*p, frame, weights, first, last, out);
  }
  p->kernel == 3 ? all_rows<3, 2>(*p, frame, weights, first, last, out)
                 : all_rows<5, 2>(*p, frame, weights, first, last, out);
}

// lanes [K K][period] += the image's weight gradient; dt: rows of its frame.
void depthwise_weights(const ImagePlan* p, const float* frame, const float* dt, float* lanes) {
  if (p->stride == 1) {
    return p->kernel == 3 ? weight_all<3, 1>(*p, frame, dt, lanes)
                          : weight_all<5, 1>(*p, frame, dt, lanes);
  }
  p->kernel == 3 ? weight_all<3, 2>(*p, frame, dt, lanes) : weight_all<5, 2>(*p, frame, dt, lanes);
}

// The image [H, W, C] into the frame, whose border is there already: any stride of 2.
void depthwise_spread(const ImagePlan* p, const float* image, float* frame) {
  for (int64_t y = 0; y < p->height; ++y) {
    float* row = frame + (y + p->top) * p->frame_row;
    const float* from = image + y * p->width * p->channels;
    for (int64_t x = 0; x < p->width; ++x) {
      const int64_t q = x + p->left;
      copy_floats(row + (q & 1) * p->plane + (q >> 1) * p->channels, from + x * p->channels,
                  p->channels);
    }
  }
}
// dt [H', W', C] into its frame.
void depthwise_place_dt(const ImagePlan* p, const float* dt, float* dt_frame) {
  const int64_t n = p->out_width * p->channels;
  for (int64_t y = 0; y < p->out_height; ++y) {
    copy_floats(dt_frame + (y + p->dt_top) * p->dt_row + p->dt_left * p->channels, dt + y * n, n);
  }
}

// Input rows [first, last) of da for stride 2: each pixel's taps are those of its parity. `plane`
// is scratch of plane floats and a vector.
void depthwise_rows_back_stride2(const ImagePlan* p, const float* dt_frame, const float* weights,
                                 int64_t first, int64_t last, float* plane, float* da) {
  const int64_t channels = p->channels;
  for (int64_t y = first; y < last; ++y, da += p->width * channels) {
    const int64_t row = y + p->top;
    for (int64_t parity = 0; parity < 2; ++parity) {
      const float *in[9], *w[9];
      int taps = 0;
      for (int64_t ky = row & 1; ky < p->kernel; ky += 2) {
        const int64_t from = (row - ky) / 2 + p->dt_top;
        for (int64_t kx = parity; kx < p->kernel; kx += 2) {
          in[taps] = dt_frame + from * p->dt_row + (p->dt_left - kx / 2) * channels;
          w[taps++] = weights + (ky * p->kernel + kx) * p->period;
        }
      }
      const int64_t begin = p->left & 1 ? 1 - parity : parity;  // the first x of this plane
      if (begin >= p->width) continue;
      const int64_t pixel = (begin + p->left) >> 1, count = (p->width - begin + 1) / 2;
      for (int t = 0; t < taps; ++t) in[t] += pixel * channels;
      tap_sums(in, w, taps, count * channels, p->period, plane);
      for (int64_t i = 0; i < count; ++i) {
        copy_floats(da + (begin + 2 * i) * channels, plane + i * channels, channels);
      }
    }
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
