// What the cores can do at all: independent fused multiply-adds on registers, on several threads at
// once. Rates are quoted as a share of it, for clocks differ between machines and between minutes.
#pragma once

namespace enas::bench {

// GFLOP/s of f32 (an FMA is two) with the instruction set of tensor/isa.h, measured for `seconds`.
double fma_peak_gflops(int threads, double seconds);

}  // namespace enas::bench
