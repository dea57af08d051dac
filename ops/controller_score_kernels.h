// The kernels of ops/controller_score.cpp for either dtype: f32 in ops/controller_score.simd.cpp,
// f64 (gradient checks) by plain loops. Internal to ops/.
#pragma once
#include <cstdint>

#include "ops/cell_rows.h"
#include "tensor/isa.h"

namespace enas {

ISA_SELECT(score_product_back, void(const float* z, int64_t rows, int64_t columns, const float* w,
                                    int64_t n, float* dx));
ISA_SELECT(score_lstm_back,
           void(const float* gates, const float* c, const float* c_next, const float* dh,
                const float* dc_next, float* dz, float* dc, int64_t rows, int64_t n));
ISA_SELECT(score_attention_back, void(const float* t, const float* v, float g, float* dkey,
                                      float* dquery, float* dv, int64_t n));
ISA_SELECT(score_axpy, void(float a, const float* x, float* y, int64_t n));

template <class T>
struct ScoreKernels;

template <>
struct ScoreKernels<float> {
  static constexpr auto& product_back = score_product_back;
  static constexpr auto& lstm_back = score_lstm_back;
  static constexpr auto& attention_back = score_attention_back;
  static constexpr auto& axpy = score_axpy;
};

template <>
struct ScoreKernels<double> {
  static void product_back(const double* z, int64_t rows, int64_t columns, const double* w,
                           int64_t n, double* dx) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t i = 0; i < n; ++i) {
        double sum = 0;
        for (int64_t k = 0; k < columns; ++k) sum += z[r * columns + k] * w[i * columns + k];
        dx[r * n + i] += sum;
      }
    }
  }
  static void lstm_back(const double* gates, const double* c, const double* c_next,
                        const double* dh, const double* dc_next, double* dz, double* dc,
                        int64_t rows, int64_t n) {
    scalar::lstm_rows_backward(gates, c, c_next, dh, dc_next, dz, dc, false, rows, n);
  }
  static void attention_back(const double* t, const double* v, double g, double* dkey,
                             double* dquery, double* dv, int64_t n) {
    for (int64_t k = 0; k < n; ++k) {
      const double dt = g * v[k] * (1 - t[k] * t[k]);
      dquery[k] += dt;
      if (dkey != nullptr) dkey[k] += dt;
      dv[k] += g * t[k];
    }
  }
  static void axpy(double a, const double* x, double* y, int64_t n) {
    for (int64_t k = 0; k < n; ++k) y[k] += a * x[k];
  }
};

}  // namespace enas
