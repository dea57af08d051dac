// Initial values: pure functions of (seed, Stream::init, FNV-1a hash of the parameter's name as
// Philox step, element), so neither the order in which parameters are made nor the number of
// threads matters, and a child built alone starts like the same child inside a shared network.
#pragma once
#include <cstdint>
#include <string_view>

#include "autograd/parameter.h"

namespace enas {

void init_uniform(Parameter& p, double range, uint64_t seed);  // [-range, range)
void init_normal(Parameter& p, double sigma, uint64_t seed);   // mean 0 (Box-Muller)
void init_constant(Parameter& p, double value);

uint64_t name_hash(std::string_view name);  // 64-bit FNV-1a

}  // namespace enas
