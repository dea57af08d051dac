#include "cuda/host/machine.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "tensor/check.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace enas::cuda::host {

Machine machine;

namespace {
constexpr size_t kResident = 8;            // blocks at once, where a schedule interleaves them
constexpr size_t kResidentThreads = 4096;  // of these together
constexpr size_t kSharedAlignment = 128;

size_t volume(const dim3& d) { return size_t{d.x} * d.y * d.z; }
uint3 unravel(size_t i, const dim3& d) {
  return {static_cast<unsigned>(i % d.x), static_cast<unsigned>(i / d.x % d.y),
          static_cast<unsigned>(i / d.x / d.y)};
}
}  // namespace

bool Machine::start_block(Block& block) {
  if (started_ == blocks_) return false;
  size_t which = started_++;
  if (!order_.empty()) which = order_[which];
  if (schedule_ == Schedule::reversed) which = blocks_ - 1 - which;
  const size_t n = volume(grid_.threads);
  block.index = unravel(which, grid_.blocks);
  block.alive = static_cast<unsigned>(n);
  block.arrived = block.votes = 0;
  block.warps.assign((n + 31) / 32, Warp());
  block.first_epoch = block.epoch = next_epoch();
  if (block.shared != nullptr) std::memset(block.shared, 0xff, grid_.shared_bytes);
  block.ready.clear();
  block.spinning.clear();
  for (size_t i = 0; i < n; ++i) {
    Thread& thread = block.threads[from_the_end() ? n - 1 - i : i];
    thread.state = State::fresh;
    thread.fiber = nullptr;
    block.ready.push(&thread);
  }
  return true;
}

// Slots for the blocks that are on the machine together.
void Machine::resident_blocks() {
  const size_t n = volume(grid_.threads);
  blocks_ = volume(grid_.blocks);
  const bool together = schedule_ == Schedule::random || schedule_ == Schedule::greedy;
  resident_ = grid_.cooperative ? blocks_
              : together        ? std::clamp(kResidentThreads / n, size_t{1}, kResident)
                                : 1;
  resident_ = std::min(resident_, blocks_);
  while (slots_.size() < resident_) slots_.push_back(std::make_unique<Block>());
  order_.clear();
  if (together) {
    order_.resize(blocks_);
    std::iota(order_.begin(), order_.end(), 0u);
    for (size_t i = blocks_; i > 1; --i) std::swap(order_[i - 1], order_[random_.below(i)]);
  }
  started_ = 0;
  unfinished_ = blocks_;
  for (size_t s = 0; s < resident_; ++s) {
    Block& block = *slots_[s];
    block.threads.resize(n);
    for (size_t i = 0; i < n; ++i) {
      block.threads[i].block = &block;
      block.threads[i].linear = static_cast<unsigned>(i);
      block.threads[i].index = unravel(i, grid_.threads);
    }
    if (block.memory_bytes < grid_.shared_bytes + kSharedAlignment) {
      block.memory_bytes = grid_.shared_bytes + kSharedAlignment;
      block.memory = std::make_unique<unsigned char[]>(block.memory_bytes);
    }
    const auto at = reinterpret_cast<uintptr_t>(block.memory.get());
    block.shared = block.memory.get() + (kSharedAlignment - at % kSharedAlignment);
    const size_t words = (grid_.shared_bytes + 3) / 4;
    if (block.shadow.size() < words) block.shadow.resize(words);
    start_block(block);
  }
}

void Machine::execute(const Grid& grid) {
  grid_ = grid;
  blockDim = grid.threads;
  gridDim = grid.blocks;
  random_.state = seed_ * 0x9e3779b97f4a7c15u + launches_++;
  failure_.clear();
  focus_ = patience_ = 0;
  idle_rounds_ = 0;
  next_ = nullptr;
  resident_blocks();
  drive();
  current_ = nullptr;
  if (failure_.empty()) return;
  abandon();
  fail(ErrorKind::internal, grid.op, failure_, " (schedule ", name_of(schedule_), ", seed ", seed_,
       ")");
}

void Machine::drive() {
  while (failure_.empty() && unfinished_ > 0) {
    Thread* thread = next_ != nullptr ? next_ : pick();
    next_ = nullptr;
    if (thread == nullptr) {
      if (failure_.empty()) failure_ = stuck();
      return;
    }
    resume(thread);
  }
}

// Sets the thread up as the running one.
void Machine::resume(Thread* thread) {
  current_ = thread;
  threadIdx = thread->index;
  blockIdx = thread->block->index;
  if (thread->fiber == nullptr) {
    if (idle_fibers_.empty()) {
      all_fibers_.push_back(new_fiber(fiber_entry));
      idle_fibers_.push_back(all_fibers_.back().get());
    }
    thread->fiber = idle_fibers_.back();
    idle_fibers_.pop_back();
  }
  running_fiber_ = thread->fiber;
  switch_to(thread->fiber);
}

// A fiber runs one thread after another, without a switch, while these end and new ones start.
void Machine::fiber_entry() {
  entered();
  Machine& m = machine;
  Fiber* const self = m.running_fiber_;
  for (;;) {
    m.run_current();
    Thread* next = m.failure_.empty() && m.unfinished_ > 0 ? m.pick() : nullptr;
    if (next != nullptr && next->state == State::fresh) {
      m.current_ = next;
      next->fiber = self;
      threadIdx = next->index;
      blockIdx = next->block->index;
      continue;
    }
    m.next_ = next;
    m.idle_fibers_.push_back(self);
    leave(self);
  }
}

void Machine::run_current() {
  current_->state = State::ready;
  try {
    try {
      grid_.body(grid_.arguments);
      finish_current();
    } catch (const Finding& finding) {
      failure_ = finding.text + where(*current_);
    } catch (const std::exception& error) {
      failure_ = "device code threw \"" + std::string(error.what()) + "\"" + where(*current_);
    }
  } catch (...) {
    failure_ = "device code threw" + where(*current_);
  }
}

void Machine::finish_current() {
  Thread& thread = *current_;
  Block& block = *thread.block;
  thread.state = State::done;
  thread.fiber = nullptr;
  idle_rounds_ = 0;
  if (--block.alive == 0) {
    --unfinished_;
    start_block(block);
  } else if (block.arrived == block.alive) {
    throw Finding("the barrier at " + to_string(block.site) +
                  " is never reached by a thread that has returned");
  }
}

void Machine::wait(State state) {
  Thread* self = current_;
  self->state = state;
  idle_rounds_ = 0;
  leave(self->fiber);
}

void Machine::spin() {
  Thread* self = current_;
  self->block->spinning.push_back(self);
  leave(self->fiber);
}

void Machine::wake(Thread& thread) {
  thread.state = State::ready;
  thread.block->ready.push(&thread);
}

void Machine::release_barrier(Block& block) {
  block.arrived = 0;
  block.voted = block.votes;
  block.votes = 0;
  block.epoch = next_epoch();
  const size_t n = block.threads.size();
  for (size_t i = 0; i < n; ++i) wake(block.threads[from_the_end() ? n - 1 - i : i]);
}

// The fibers of threads that never ended start afresh.
void Machine::abandon() {
  idle_fibers_.clear();
  for (const auto& fiber : all_fibers_) {
    restart(fiber.get(), fiber_entry);
    idle_fibers_.push_back(fiber.get());
  }
}

std::string Machine::where(const Thread& thread) const {
  std::ostringstream text;
  const uint3 b = thread.block->index, t = thread.index;
  text << ", in block (" << b.x << ", " << b.y << ", " << b.z << ") thread (" << t.x << ", " << t.y
       << ", " << t.z << ")";
  return text.str();
}

}  // namespace enas::cuda::host
