// What a GPU reaches at all, before anything is said of our kernels: device memory copies and
// matrix products (cuBLAS, f32 and TF32) at sizes that fill the card. Prints one JSON object.
//   build/gpu_ceilings [--seconds S] | --name
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "cuda/blas.h"
#include "cuda/runtime.h"
#include "tensor/tensor.h"

namespace enas {
namespace {

using Clock = std::chrono::steady_clock;

// Median seconds of one call among `batch` queued ones, over `seconds`.
double median_time(const std::function<void()>& queue, int batch, const Tensor& last,
                   double seconds) {
  const auto wait = [&] { last.reshape({last.numel()}).slice(0, 1).item(); };
  queue();
  wait();
  std::vector<double> times;
  const auto begin = Clock::now();
  do {
    const auto start = Clock::now();
    for (int i = 0; i < batch; ++i) queue();
    wait();
    times.push_back(std::chrono::duration<double>(Clock::now() - start).count() / batch);
  } while (std::chrono::duration<double>(Clock::now() - begin).count() < seconds);
  std::nth_element(times.begin(), times.begin() + static_cast<int64_t>(times.size() / 2),
                   times.end());
  return times[times.size() / 2];
}

double gemm_tflops(int64_t m, int64_t n, int64_t k, double seconds) {
  // Values that are not zeros: power, and with it the clock, depends on them.
  Tensor a = Tensor::full({m, k}, 0.37, DType::f32, Device::cuda);
  Tensor b = Tensor::full({k, n}, 1.73, DType::f32, Device::cuda);
  Tensor c({m, n}, DType::f32, Device::cuda);
  const double flops =
      2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  const int batch = std::max(1, static_cast<int>(4e11 / flops));
  const double time = median_time(
      [&] {
        cuda::gemm<float>("gpu_ceilings", false, false, m, n, k, a.data<float>(), k,
                          b.data<float>(), n, 0.0f, c.data<float>(), n);
      },
      std::min(batch, 200), c, seconds);
  return flops / time * 1e-12;
}

void run(double seconds) {
  const int64_t bytes = int64_t{1} << 30;
  Tensor from = Tensor::zeros({bytes}, DType::u8, Device::cuda);
  Tensor to({bytes}, DType::u8, Device::cuda);
  const double copy = median_time([&] { to.copy_from(from); }, 8, to, seconds);
  const double launch = median_time([&] { to.slice(0, 4).fill(1); }, 200, to, seconds);
  std::printf("{\"gpu\":\"%s\",\"cublas\":\"%s\",\"copy_tb_per_s\":%.4g,\"queued_fill_us\":%.4g",
              cuda::device_name().c_str(), cuda::blas_name().c_str(),
              2 * static_cast<double>(bytes) / copy * 1e-12, launch * 1e6);
  for (const bool tf32 : {false, true}) {
    cuda::set_math(tf32 ? cuda::Math::tf32 : cuda::Math::f32);
    const char* mode = tf32 ? "tf32" : "f32";
    std::printf(",\"gemm_8192_%s_tflops\":%.4g", mode, gemm_tflops(8192, 8192, 8192, seconds));
    std::printf(",\"gemm_2240x10000x1000_%s_tflops\":%.4g", mode,
                gemm_tflops(2240, 10000, 1000, seconds));
    std::printf(",\"gemm_64x2000x1000_%s_us\":%.4g", mode,
                2.0 * 64 * 2000 * 1000 / gemm_tflops(64, 2000, 1000, seconds) * 1e-6);
  }
  std::printf("}\n");
}

}  // namespace
}  // namespace enas

int main(int argc, char** argv) {
  const std::string option = argc > 1 ? argv[1] : "";
  try {
    if (argc == 2 && option == "--name") {
      const std::string why = enas::cuda::unavailable();
      enas::check(why.empty(), enas::ErrorKind::device, "gpu_ceilings", why);
      std::printf("%s\n", enas::cuda::device_name().c_str());
      return 0;
    }
    const double seconds = argc == 3 && option == "--seconds" ? std::atof(argv[2]) : 0.5;
    if (argc != 1 && (argc != 3 || option != "--seconds" || seconds <= 0)) {
      std::fprintf(option == "--help" ? stdout : stderr,
                   "usage: gpu_ceilings [--seconds S] | --name\n"
                   "copy bandwidth and matrix products of this GPU, S seconds each; or its name\n");
      return option == "--help" ? 0 : 2;
    }
    enas::run(seconds);
    return 0;
  } catch (const enas::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.exit_code();
  }
}
