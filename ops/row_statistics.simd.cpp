// Maximum and sum of exponentials of each row, in two visits: the second finds the row in cache.
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "ops/row_sums.simd.h"

namespace enas::ENAS_ISA_NAMESPACE {

// statistics[r] = {top, total}. NaN reaches the total through the subtraction.
void row_statistics(const float* x, float* statistics, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r, x += columns, statistics += 2) {
    const float* const next = x + columns;
    const auto ask = [next](int64_t c, Floats) { __builtin_prefetch(next + c, 0, 2); };
    statistics[0] = row_top(x, columns);
    statistics[1] = row_total(x, columns, statistics[0], ask, ask);
  }
}

}  // namespace enas::ENAS_ISA_NAMESPACE
