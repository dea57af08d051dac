#include "cuda/host/faults.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

namespace enas::cuda::host {
namespace {

constexpr size_t kMostGuards = size_t{1} << 16, kSignalStack = size_t{64} << 10;

const char* device = nullptr;
size_t device_bytes = 0;
const char* guards[kMostGuards];
std::atomic<size_t> guard_count{0};
struct sigaction earlier;

void say(const char* text) {
  [[maybe_unused]] const auto written = write(STDERR_FILENO, text, std::strlen(text));
}

void on_fault(int, siginfo_t* info, void*) {
  const char* at = static_cast<const char*>(info->si_addr);
  if (at >= device && at < device + device_bytes) {
    say("host code touched device memory: the pointer of a tensor on the GPU, used on the CPU\n");
  }
  for (size_t i = 0; i < guard_count; ++i) {
    if (at < guards[i] || at >= guards[i] + kStackGuardBytes) continue;
    say("a kernel's thread overflowed its stack: its local arrays are too large\n");
  }
  sigaction(SIGSEGV, &earlier, nullptr);  // the access comes again
}

void install() {
  static const bool done = [] {
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    return sigaction(SIGSEGV, &action, &earlier) == 0;
  }();
  static_cast<void>(done);
}

}  // namespace

void tell_faults_in(const char* base, size_t bytes) {
  device = base;
  device_bytes = bytes;
  install();
}

void tell_overflow_in(const char* guard) {
  if (guard_count < kMostGuards) guards[guard_count] = guard;
  if (guard_count < kMostGuards) ++guard_count;
  install();
}

void need_signal_stack() {
  thread_local const bool done = [] {
    stack_t now = {};
    if (sigaltstack(nullptr, &now) == 0 && (now.ss_flags & SS_DISABLE) == 0) return true;
    stack_t wanted = {};
    wanted.ss_sp = new char[kSignalStack];  // never freed: the thread may end late
    wanted.ss_size = kSignalStack;
    return sigaltstack(&wanted, nullptr) == 0;
  }();
  static_cast<void>(done);
}

}  // namespace enas::cuda::host
