// How many samples of a policy go through its products together. Plain data: *.simd.cpp files
// include this.
#pragma once
#include <cstdint>

namespace enas {

constexpr int64_t kWalkRows = 5;

}  // namespace enas
