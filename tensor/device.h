// Where a tensor lives.
#pragma once
#include <cstdint>
#include <ostream>

namespace enas {

enum class Device : uint8_t { cpu, cuda };
inline std::ostream& operator<<(std::ostream& out, Device d) {
  return out << (d == Device::cpu ? "cpu" : "cuda");
}

#ifdef ENAS_WITH_CUDA
constexpr bool kWithCuda = true;
#else
constexpr bool kWithCuda = false;
#endif

}  // namespace enas
