#include "cuda/host/fiber.h"

#include <sys/mman.h>

#include "cuda/host/faults.h"
#include "tensor/asan.h"
#include "tensor/check.h"

// Saves the callee-saved registers on this stack and its pointer in *save; takes up `to`.
extern "C" void enas_switch_stack(void** save, void* to);
asm(R"(.text
.globl enas_switch_stack
.hidden enas_switch_stack
.type enas_switch_stack,@function
enas_switch_stack:
 pushq %rbp
 pushq %rbx
 pushq %r12
 pushq %r13
 pushq %r14
 pushq %r15
 movq %rsp,(%rdi)
 movq %rsi,%rsp
 popq %r15
 popq %r14
 popq %r13
 popq %r12
 popq %rbx
 popq %rbp
 ret
.size enas_switch_stack,.-enas_switch_stack
)");

namespace enas::cuda::host {
namespace {
// AddressSanitizer's red zones make frames several times larger.
constexpr size_t kStackBytes = size_t{kAsan ? 256 : 64} << 10;

void* launcher = nullptr;  // the stack pointer of the launching thread
#ifdef ENAS_ASAN
const void* launcher_stack = nullptr;
size_t launcher_bytes = 0;
#endif
}  // namespace

std::unique_ptr<Fiber> new_fiber(void (*entry)()) {
  void* block = mmap(nullptr, kStackGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check(block != MAP_FAILED && mprotect(block, kStackGuardBytes, PROT_NONE) == 0, ErrorKind::memory,
        "cuda on the CPU", "the system refused the stack of a thread");
  tell_overflow_in(static_cast<char*>(block));
  auto fiber = std::make_unique<Fiber>();
  fiber->stack = static_cast<char*>(block) + kStackGuardBytes;
  restart(fiber.get(), entry);
  return fiber;
}

void restart(Fiber* fiber, void (*entry)()) {
  asan_unpoison(fiber->stack, kStackBytes);
  fiber->fake_stack = nullptr;
  void** top = reinterpret_cast<void**>(fiber->stack + kStackBytes);
  *--top = nullptr;  // entry's return address: backtraces end here
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  fiber->stack_pointer = top;
}

void entered() {
#ifdef ENAS_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &launcher_stack, &launcher_bytes);
#endif
}

void switch_to(Fiber* fiber) {
#ifdef ENAS_ASAN
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, fiber->stack, kStackBytes);
#endif
  enas_switch_stack(&launcher, fiber->stack_pointer);
#ifdef ENAS_ASAN
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
}

void leave(Fiber* self) {
#ifdef ENAS_ASAN
  __sanitizer_start_switch_fiber(&self->fake_stack, launcher_stack, launcher_bytes);
#endif
  enas_switch_stack(&self->stack_pointer, launcher);
#ifdef ENAS_ASAN
  __sanitizer_finish_switch_fiber(self->fake_stack, &launcher_stack, &launcher_bytes);
#endif
}

}  // namespace enas::cuda::host
