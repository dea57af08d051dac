#include "tensor/isa.h"

#include <algorithm>
#include <cstdlib>

#include "tensor/check.h"

namespace enas {
namespace {

bool cpu_has(Isa isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();  // runs before main, where the compiler's own initialiser may not have
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi2");
  switch (isa) {
    case Isa::generic:
      return true;
    case Isa::avx2:
      return v3;
    case Isa::avx512:
      return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512cd");
  }
  return false;
#else
  return isa == Isa::generic;
#endif
}

// An unknown or unavailable ENAS_ISA is refused by check_isa_environment(), not here: nothing may
// throw before main.
int choose() {
  const char* wanted = std::getenv("ENAS_ISA");
  for (const Isa isa : {Isa::avx512, Isa::avx2, Isa::generic}) {
    if (cpu_has(isa) && (wanted == nullptr || name_of(isa) == wanted)) return static_cast<int>(isa);
  }
  return 0;
}

}  // namespace

int detail::isa_index = choose();

Isa isa() { return static_cast<Isa>(detail::isa_index); }

void set_isa(Isa wanted) {
  check(cpu_has(wanted), ErrorKind::device, "isa", "this CPU lacks ", name_of(wanted));
  detail::isa_index = static_cast<int>(wanted);
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::generic, Isa::avx2, Isa::avx512}) {
    if (cpu_has(isa)) isas.push_back(isa);
  }
  return isas;
}

void check_isa_environment() {
  const char* wanted = std::getenv("ENAS_ISA");
  if (wanted == nullptr) return;
  for (const Isa isa : available_isas()) {
    if (name_of(isa) == wanted) return;
  }
  fail(ErrorKind::usage, "ENAS_ISA", "\"", wanted,
       "\" is unknown or not on this CPU, whose best is ", name_of(available_isas().back()),
       "; use generic, avx2 or avx512");
}

std::string_view name_of(Isa isa) {
  return isa == Isa::generic ? "generic" : isa == Isa::avx2 ? "avx2" : "avx512";
}

}  // namespace enas
