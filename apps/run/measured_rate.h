// The arithmetic rate of this machine, for --plan.
#pragma once

namespace enas {

// FLOP/s of the products that a step consists of, on all threads: 64 x 512 x 1024, best of a few.
double measured_rate();

}  // namespace enas
