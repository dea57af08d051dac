// The product with packed weights against OpenBLAS and the FMA loop, a round of each in turn, in
// one process: rates are medians over rounds, shares are medians of the rounds' ratios. Twelve
// matrices are used one after another, as in a recurrent step, so weights come from the outer
// caches. One thread is timed by its own CPU time, several by the clock.
//   build/gemm_bench --threads 1 --rounds 15 --shape 64x1000x2000
#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "bench/fma_peak.h"
#include "tensor/blas.h"
#include "tensor/check.h"
#include "tensor/packed_gemm.h"
#include "tensor/philox.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

double seconds() {
  timespec t;
  clock_gettime(thread_count() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}
// GFLOP/s of f, which makes `fmas` multiply-adds.
template <class F>
double rate(double fmas, const F& f) {
  const double start = seconds();
  f();
  return 2e-9 * fmas / (seconds() - start);
}
double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<long>(v.size() / 2), v.end());
  return v[v.size() / 2];
}
Tensor drawn(int64_t rows, int64_t columns, uint64_t step) {
  Tensor t({rows, columns});
  for (int64_t i = 0; i < t.numel(); ++i) {
    t.data<float>()[i] =
        static_cast<float>(Random{1, Stream::test, step}.uniform53(static_cast<size_t>(i)) - 0.5);
  }
  return t;
}

struct Case {
  int64_t m, k, n;
};
Case parse(const std::string& text) {
  long long m = 0, k = 0, n = 0;
  check(std::sscanf(text.c_str(), "%lldx%lldx%lld", &m, &k, &n) == 3 && m > 0 && k > 0 && n > 0,
        ErrorKind::usage, "gemm_bench", "a shape is MxKxN, like 64x1000x2000; got ", text);
  return {m, k, n};
}

void row(const char* what, const Case& s, bool transpose, int rounds, int matrices) {
  const Tensor a = drawn(s.m, s.k, 1), w = drawn(transpose ? s.n : s.k, transpose ? s.k : s.n, 2);
  Tensor c({s.m, s.n});
  std::vector<Tensor> weights;
  std::vector<PackedMatrix> packed;
  const auto pack = [&](const Tensor& from) {
    return PackedMatrix(transpose, s.k, s.n, from.data<float>(), from.size(1));
  };
  for (int i = 0; i < matrices; ++i) {
    weights.push_back(i == 0 ? w : drawn(w.size(0), w.size(1), 2));
    packed.push_back(pack(weights.back()));
  }
  const double fmas = static_cast<double>(s.m * s.k * s.n) * matrices;
  const int repeats = std::max(1, static_cast<int>(2e8 / fmas));
  const auto ours = [&] {
    for (int r = 0; r < repeats; ++r) {
      for (const PackedMatrix& p : packed)
        packed_gemm(s.m, a.data<float>(), s.k, p, false, c.data<float>(), s.n);
    }
  };
  const auto blas = [&] {
    for (int r = 0; r < repeats; ++r) {
      for (const Tensor& b : weights) {
        gemm(false, transpose, s.m, s.n, s.k, a.data<float>(), s.k, b.data<float>(), b.size(1),
             0.0f, c.data<float>(), s.n);
      }
    }
  };
  const auto packing = [&] {
    for (int i = 0; i < matrices; ++i) packed[static_cast<size_t>(i)] = pack(w);
  };
  ours(), blas();
  constexpr double kLoop = 0.02;  // seconds: threads start and end in 1 % of it
  std::vector<double> mine, theirs, peak, share, ratio, pack_share;
  for (int r = 0; r < rounds; ++r) {
    peak.push_back(bench::fma_peak_gflops(thread_count(), kLoop));
    mine.push_back(rate(fmas * repeats, ours));
    theirs.push_back(rate(fmas * repeats, blas));
    const double packed_at = rate(fmas, packing);  // of a product's arithmetic
    share.push_back(mine.back() / peak.back());
    ratio.push_back(mine.back() / theirs.back());
    pack_share.push_back(mine.back() / packed_at);
  }
  std::printf("| %s | %lld x %lld x %lld | %.1f | %.1f | %.1f | %.2f | %.2f | %.2f |\n", what,
              static_cast<long long>(s.m), static_cast<long long>(s.k), static_cast<long long>(s.n),
              median(peak), median(mine), median(theirs), median(share), median(ratio),
              median(pack_share));
  std::fflush(stdout);
}

int run(int argc, char** argv) {
  CLI::App app("packed product against OpenBLAS and the FMA loop");
  int threads = 1, rounds = 15, matrices = 12;
  std::vector<std::string> shapes = {"64x1000x2000", "64x1000x1000", "64x2000x2000", "20x1000x2000",
                                     "128x200x400",  "128x400x400",  "64x100x200",   "1x1000x2000"};
  app.add_option("--threads", threads);
  app.add_option("--rounds", rounds);
  app.add_option("--matrices", matrices, "weights used in turn; 1 keeps them in the caches");
  app.add_option("--shape", shapes, "MxKxN, several");
  CLI11_PARSE(app, argc, argv);
  check_isa_environment();
  set_thread_count(threads);
  std::printf("%s, %d threads, %s\n\n", name_of(isa()).data(), threads, blas_name().c_str());
  std::printf(
      "| product | M x K x N | FMA loop | packed | OpenBLAS | of FMA loop | times OpenBLAS | "
      "packing, in products |\n|---|---|---|---|---|---|---|---|\n");
  for (const std::string& text : shapes) {
    const Case s = parse(text);
    row("A B", s, false, rounds, matrices);
    row("A B^T", {s.m, s.n, s.k}, true, rounds, matrices);
  }
  return 0;
}

}  // namespace
}  // namespace enas

int main(int argc, char** argv) {
  try {
    return enas::run(argc, argv);
  } catch (const enas::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
