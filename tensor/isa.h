// Instruction sets. A *.simd.cpp is compiled once for each (cmake/Floors.cmake), in namespace
// isa_generic, isa_avx2 or isa_avx512; ISA_SELECT in the op's .cpp declares the three and makes one
// callable that goes to the chosen one. ENAS_ISA=generic|avx2|avx512 overrides the choice, so that
// tests run every path on one machine.
#pragma once
#include <string_view>
#include <utility>
#include <vector>

namespace enas {

enum class Isa { generic, avx2, avx512 };

Isa isa();                 // chosen once at start: the best that this CPU has, or ENAS_ISA
void set_isa(Isa wanted);  // for tests; refuses what the CPU lacks
std::vector<Isa> available_isas();
// Refuses (usage) an ENAS_ISA that is unknown or that this CPU lacks; programs call it at start.
void check_isa_environment();
std::string_view name_of(Isa isa);

namespace detail {
extern int isa_index;
}

// The variants of one kernel; called like the function itself.
template <class Signature>
struct IsaTable {
  Signature* variants[3];
  template <class... Args>
  auto operator()(Args... args) const {
    return variants[detail::isa_index](args...);
  }
};

}  // namespace enas

#if defined(__x86_64__)
// ISA_SELECT(softmax_rows, void(const float* x, float* y, int64_t rows, int64_t columns)); at
// namespace enas scope.
#define ISA_SELECT(name, ...)                                  \
  namespace isa_generic {                                      \
  using name##_type = __VA_ARGS__;                             \
  name##_type name;                                            \
  }                                                            \
  namespace isa_avx2 {                                         \
  using name##_type = __VA_ARGS__;                             \
  name##_type name;                                            \
  }                                                            \
  namespace isa_avx512 {                                       \
  using name##_type = __VA_ARGS__;                             \
  name##_type name;                                            \
  }                                                            \
  constexpr IsaTable<__VA_ARGS__> name {                       \
    { &isa_generic::name, &isa_avx2::name, &isa_avx512::name } \
  }
#else
#define ISA_SELECT(name, ...)                                      \
  namespace isa_generic {                                          \
  using name##_type = __VA_ARGS__;                                 \
  name##_type name;                                                \
  }                                                                \
  constexpr IsaTable<__VA_ARGS__> name {                           \
    { &isa_generic::name, &isa_generic::name, &isa_generic::name } \
  }
#endif
