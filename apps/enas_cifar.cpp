// enas_cifar: searches convolutional networks or cells on images, derives the best, trains it from
// scratch and evaluates it.
#include "apps/cifar/commands.h"
#include "apps/run/guard.h"
#include "apps/run/signals.h"
#include "tensor/isa.h"

int main(int argc, char** argv) {
  enas::install_signal_handlers();
  return enas::run_guarded("enas_cifar", [&] {
    enas::check_isa_environment();
    return enas::enas_cifar(argc, argv);
  });
}
