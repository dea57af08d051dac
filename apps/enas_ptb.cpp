// enas_ptb: searches recurrent cells on text, derives the best, trains it from scratch and
// evaluates it.
#include "apps/ptb/commands.h"
#include "apps/run/guard.h"
#include "apps/run/signals.h"
#include "tensor/isa.h"

int main(int argc, char** argv) {
  enas::install_signal_handlers();
  return enas::run_guarded("enas_ptb", [&] {
    enas::check_isa_environment();
    return enas::enas_ptb(argc, argv);
  });
}
