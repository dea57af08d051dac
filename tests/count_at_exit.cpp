// Linked into enas_ptb_on_host: its last line on standard error says what was launched and how
// often the host waited, so that a test can tell where a command computed.
#include <cstdio>

#include "tensor/gpu.h"

namespace enas {
namespace {

struct CountAtExit {
  ~CountAtExit() {
    const cuda::Counters& c = cuda::counters();
    std::fprintf(stderr, "{\"launches\":%llu,\"waits\":%llu}\n",
                 static_cast<unsigned long long>(c.launches),
                 static_cast<unsigned long long>(c.waits + c.late_waits));
  }
};
const CountAtExit count_at_exit;

}  // namespace
}  // namespace enas
