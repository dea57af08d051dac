// What --plan of both programs needs: the arithmetic rate of this machine, and amounts as text.
#pragma once
#include <string>

namespace enas {

// FLOP/s of the products that a step consists of, on all threads: 64 x 512 x 1024, best of a few.
double measured_rate();

std::string format_bytes(double bytes);  // "12 MiB", "290 KiB"
std::string format_flop(double flop);    // "13.5 PFLOP", "159 GFLOP"

}  // namespace enas
