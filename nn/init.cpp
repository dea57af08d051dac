#include "nn/init.h"

#include <array>
#include <cmath>
#include <numbers>

#include "tensor/fnv.h"
#include "tensor/philox.h"
#include "tensor/thread_pool.h"

namespace enas {
namespace {

constexpr int64_t kGrain = 1 << 12;  // Philox blocks a chunk

// Fills p from f(block number, words[4]) -> `width` values a Philox block.
template <int width, class F>
void fill_from_blocks(Parameter& p, const char* op, uint64_t seed, F&& f) {
  const uint64_t step = name_hash(p.name);
  // Drawn on the CPU: the same bits for every device.
  Tensor drawn =
      p.value.device() == Device::cpu ? p.value : Tensor(p.value.shape(), p.value.dtype());
  visit_real(p.value.dtype(), op, [&](auto tag) {
    using T = decltype(tag);
    T* out = drawn.data<T>();
    const int64_t n = p.value.numel();
    parallel_for((n + width - 1) / width, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        const auto words = philox4x32(seed, static_cast<uint32_t>(Stream::init), step,
                                      static_cast<uint64_t>(block));
        const std::array<double, width> values = f(words);
        for (int64_t k = 0; k < width && block * width + k < n; ++k) {
          out[block * width + k] = static_cast<T>(values[static_cast<size_t>(k)]);
        }
      }
    });
  });
  if (!drawn.same_storage(p.value)) p.value.copy_from(drawn);
  p.value.bump_version();
}

}  // namespace

uint64_t name_hash(std::string_view name) {
  Fnv1a hash;
  for (const char c : name) hash.add(static_cast<unsigned char>(c));
  return hash.value();
}

void init_uniform(Parameter& p, double range, uint64_t seed) {
  check(range >= 0, "init_uniform", "range must not be negative, got ", range);
  fill_from_blocks<4>(p, "init_uniform", seed, [range](const PhiloxBlock& words) {
    std::array<double, 4> values;
    for (size_t k = 0; k < 4; ++k) {
      values[k] = range * (static_cast<double>(words[k] >> 8) * 0x1p-23 - 1);  // 24 bits
    }
    return values;
  });
}

void init_normal(Parameter& p, double sigma, uint64_t seed) {
  check(sigma >= 0, "init_normal", "sigma must not be negative, got ", sigma);
  fill_from_blocks<2>(p, "init_normal", seed, [sigma](const PhiloxBlock& words) {
    const auto unit = [](uint32_t high, uint32_t low) {  // (0, 1], 53 bits
      return static_cast<double>(((static_cast<uint64_t>(high) << 32 | low) >> 11) + 1) * 0x1p-53;
    };
    const double radius = sigma * std::sqrt(-2 * std::log(unit(words[0], words[1])));
    const double angle = 2 * std::numbers::pi * unit(words[2], words[3]);
    return std::array<double, 2>{radius * std::cos(angle), radius * std::sin(angle)};
  });
}

void init_constant(Parameter& p, double value) {
  p.value.fill(value);
  p.value.bump_version();
}

}  // namespace enas
