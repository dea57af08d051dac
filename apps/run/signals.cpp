// The signal flag: one of the five global states of the program.
#include "apps/run/signals.h"

#include <unistd.h>

#include <csignal>

namespace enas {
namespace {

volatile std::sig_atomic_t received = 0;

constexpr int kSignalExitBase = 128;

void on_stop(int signal) {
  if (received != 0) _exit(kSignalExitBase + signal);
  received = signal;
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;  // a write in progress goes on
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

}  // namespace

void install_signal_handlers() {
  handle(SIGINT, on_stop);
  handle(SIGTERM, on_stop);
  handle(SIGPIPE, SIG_IGN);
  handle(SIGXFSZ, SIG_IGN);
}

int stop_signal() { return received; }

int stop_exit_code() { return received == 0 ? 0 : kSignalExitBase + received; }

}  // namespace enas
