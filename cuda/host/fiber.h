// Stacks for the threads of a launch. A fiber runs `entry` in a loop of its own; switch_to() enters
// it from the launching thread, leave() goes back there.
#pragma once
#include <cstddef>
#include <memory>

namespace enas::cuda::host {

struct Fiber {
  char* stack = nullptr;  // kStackBytes above pages that nobody may touch
  void* stack_pointer = nullptr;
  void* fake_stack = nullptr;  // AddressSanitizer's
};

std::unique_ptr<Fiber> new_fiber(void (*entry)());
// Drops whatever the fiber was doing: its next run starts at entry.
void restart(Fiber* fiber, void (*entry)());
void entered();  // the first thing that entry calls
void switch_to(Fiber* fiber);
void leave(Fiber* self);

}  // namespace enas::cuda::host
