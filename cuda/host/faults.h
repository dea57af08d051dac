// What a SIGSEGV says before it ends the program.
#pragma once
#include <cstddef>

namespace enas::cuda::host {

// Device memory: host code must not touch it.
void tell_faults_in(const char* base, size_t bytes);
// What lies below a fiber's stack.
constexpr size_t kStackGuardBytes = size_t{64} << 10;
void tell_overflow_in(const char* guard);
// Once a thread that runs launches: its signal handler gets a stack of its own.
void need_signal_stack();

}  // namespace enas::cuda::host
