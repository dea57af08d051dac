// Counts as people read them: 929589 -> 929,589.
#pragma once
#include <cstdint>
#include <string>

namespace enas {

inline std::string grouped(std::string digits) {
  for (int i = static_cast<int>(digits.size()) - 3; i > 0; i -= 3)
    digits.insert(static_cast<size_t>(i), ",");
  return digits;
}

inline std::string grouped(int64_t n) { return grouped(std::to_string(n)); }

}  // namespace enas
