// The activations of recurrent cells, with our ids (docs/method.md section 1.2; the official code
// swaps 2 and 3).
#pragma once
#include <cstdint>
#include <string_view>

namespace enas {

enum class Activation : uint8_t { tanh = 0, relu = 1, sigmoid = 2, identity = 3 };
constexpr int kActivations = 4;

constexpr std::string_view name_of(Activation f) {
  constexpr std::string_view kNames[] = {"tanh", "relu", "sigmoid", "identity"};
  return kNames[static_cast<size_t>(f)];
}

}  // namespace enas
