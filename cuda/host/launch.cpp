// One launch from the limits of a GPU to the checks behind the kernel.
#include <mutex>

#include "cuda/host/faults.h"
#include "cuda/host/machine.h"
#include "cuda/host/memory.h"
#include "cuda/launch.cuh"
#include "tensor/check.h"

namespace enas::cuda::host {
namespace {

constexpr size_t kMostShared = size_t{163} << 10;  // sm_80; sm_90 has more

void check_limits(const char* op, const Launch& how) {
  const dim3& b = how.blocks;
  const dim3& t = how.threads;
  const uint64_t threads = uint64_t{t.x} * t.y * t.z;
  check(threads >= 1 && threads <= 1024 && t.z <= 64, op, "a block of ", t.x, " x ", t.y, " x ",
        t.z, " threads; a GPU has 1 to 1024, at most 64 in z");
  check(b.x <= 0x7fffffffu && b.y <= 65535 && b.z <= 65535, op, "a grid of ", b.x, " x ", b.y,
        " x ", b.z, " blocks; a GPU has at most 65535 in y and z");
  check(how.shared_bytes <= kMostShared, op, how.shared_bytes,
        " bytes of shared memory; a GPU of sm_80 has ", kMostShared);
}

// The range of device addresses, open.
class OpenMemory {
 public:
  OpenMemory() { memory().open(); }
  ~OpenMemory() { memory().close(); }
  OpenMemory(const OpenMemory&) = delete;
  OpenMemory& operator=(const OpenMemory&) = delete;
};

}  // namespace

void check_argument(const char* op, size_t position, const volatile void* pointer) {
  const void* at = const_cast<const void*>(pointer);
  if (at == nullptr || counting()) return;
  const std::lock_guard lock(runtime_mutex());
  check(memory().holds(at), op, "argument ", position, " of the kernel points to host memory");
  check(memory().is_live(at), op, "argument ", position,
        " of the kernel points to device memory that is released");
}

void run(const char* op, const Launch& how, bool cooperative, void (*body)(void*),
         void* arguments) {
  const std::lock_guard lock(runtime_mutex());
  check(!machine.running(), op, "a launch from device code");
  if (how.blocks.x == 0 || how.blocks.y == 0 || how.blocks.z == 0) return;
  check_limits(op, how);
  if (!begin_launch(op)) return;
  memory().check_released(op);
  need_signal_stack();
  fault();  // exists before the memory opens
  zeroed_words();
  try {
    const OpenMemory open;
    machine.execute({op, how.blocks, how.threads, how.shared_bytes, cooperative, body, arguments});
  } catch (const Error&) {
    clear_zeroed_words();
    throw;
  }
  check_zeroed_words(op);
  memory().check_guards(op);
}

}  // namespace enas::cuda::host
