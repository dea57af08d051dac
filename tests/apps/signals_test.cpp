// Signals: the first one asks, the second one ends the process; exit codes 130 and 143.
#include "apps/run/signals.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace enas {
namespace {

// Exit code of a child that runs the body.
template <class Body>
int exit_code_of(Body body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(Signals, FirstSetsTheFlag) {
  for (const int signal : {SIGINT, SIGTERM}) {
    EXPECT_EQ(exit_code_of([&] {
                install_signal_handlers();
                if (stop_signal() != 0 || stop_exit_code() != 0) return 1;
                raise(signal);
                return stop_signal() == signal ? stop_exit_code() : 2;
              }),
              128 + signal);
  }
}

TEST(Signals, SecondEndsAtOnce) {
  EXPECT_EQ(exit_code_of([] {
              install_signal_handlers();
              raise(SIGINT);
              raise(SIGTERM);
              return 1;
            }),
            143);
}

TEST(Signals, ClosedPipeIsAnErrorNotAnEnd) {
  EXPECT_EQ(exit_code_of([] {
              install_signal_handlers();
              int ends[2];
              if (pipe(ends) != 0) return 1;
              close(ends[0]);
              return write(ends[1], "x", 1) == -1 && errno == EPIPE ? 0 : 2;
            }),
            0);
}

}  // namespace
}  // namespace enas
