// The machine that runs a launch: blocks in slots, their threads as fibers, one at a time.
#pragma once
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "cuda/host/fiber.h"
#include "cuda/host/schedule.h"
#include "cuda/launch.cuh"

namespace enas::cuda::host {

// What a check found; launch() adds the op, the block and the thread.
struct Finding : std::exception {
  explicit Finding(std::string in_text) : text(std::move(in_text)) {}
  const char* what() const noexcept override { return text.c_str(); }
  std::string text;
};
std::string to_string(Site site);

enum class State : uint8_t { fresh, ready, at_barrier, in_collective, done };

struct Block;
struct Thread {
  Block* block = nullptr;
  Fiber* fiber = nullptr;  // from its start to its end
  uint3 index = {};
  unsigned linear = 0;
  State state = State::fresh;
};

struct Warp {
  unsigned arrived = 0;  // lanes in the collective that is under way, and which it is
  const char* name = nullptr;
  Site site = {};
  unsigned phase = 0;  // the buffer in use; the other may still be read
  unsigned epoch = 0;  // __syncwarp passed: orders accesses within the warp
  uint64_t lanes[2][32] = {};
};

// Of 4 bytes of shared memory in one barrier epoch: the last writer, and who read.
struct Shadow {
  uint64_t write_epoch = 0, read_epoch = 0, init_epoch = 0;
  unsigned writer = 0, write_warp_epoch = 0;
  unsigned reader = 0, read_warp_epoch = 0;
  uint8_t read_by = 0;  // 1 one thread, 2 several of a warp, 3 several warps
  uint8_t written_bytes = 0, init_bytes = 0;
};

// First in, first out; or any.
class Queue {
 public:
  bool empty() const { return head_ == items_.size(); }
  size_t size() const { return items_.size() - head_; }
  void push(Thread* thread) { items_.push_back(thread); }
  void clear();
  Thread* take_first();
  Thread* take_last();
  Thread* take(size_t i);

 private:
  std::vector<Thread*> items_;
  size_t head_ = 0;
};

struct Block {
  uint3 index = {};
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  Queue ready;
  std::vector<Thread*> spinning;  // gave way in a loop that waits for others
  unsigned alive = 0, arrived = 0;
  Site site = {};                       // of the barrier that threads wait at
  unsigned votes = 0;                   // of those that arrived
  unsigned voted = 0;                   // of the barrier passed last
  uint64_t first_epoch = 0, epoch = 0;  // a number a barrier, never used twice
  std::unique_ptr<unsigned char[]> memory;
  size_t memory_bytes = 0;
  unsigned char* shared = nullptr;
  std::vector<Shadow> shadow;
};

struct Random {  // splitmix64
  uint64_t state = 0;
  uint64_t next();
  size_t below(size_t n) { return static_cast<size_t>((next() >> 32) * n >> 32); }
};

struct Grid {
  const char* op = nullptr;
  dim3 blocks, threads;
  size_t shared_bytes = 0;
  bool cooperative = false;
  void (*body)(void*) = nullptr;
  void* arguments = nullptr;
};

class Machine {
 public:
  void set_schedule(Schedule schedule, uint64_t seed);
  void execute(const Grid& grid);
  bool running() const { return current_ != nullptr; }

  // Of the running thread.
  Thread& current() { return *current_; }
  const Grid& grid() const { return grid_; }
  uint64_t next_epoch() { return ++epochs_; }
  void wait(State state);  // gives way until made ready
  void spin();             // gives way until others have run
  void wake(Thread& thread);
  void release_barrier(Block& block);
  bool chance(unsigned one_in);  // in the random schedule, at times
  // The order in which threads are made ready; greedy takes the last that was.
  bool from_the_end() const {
    return schedule_ == Schedule::reversed || schedule_ == Schedule::greedy;
  }

 private:
  static void fiber_entry();
  void run_current();
  void finish_current();
  bool start_block(Block& block);
  void resume(Thread* thread);
  void resident_blocks();
  bool any_ready();
  bool wake_spinning();
  size_t any_block();
  Block* choose_block();
  Thread* pick();
  void drive();
  std::string where(const Thread& thread) const;
  std::string stuck() const;
  void abandon();

  Schedule schedule_ = Schedule::round_robin;
  uint64_t seed_ = 1, launches_ = 0;
  Random random_;
  Grid grid_;
  std::vector<std::unique_ptr<Block>> slots_;
  size_t resident_ = 0;
  std::vector<uint32_t> order_;  // of the blocks, where it is random
  size_t started_ = 0, blocks_ = 0;
  size_t focus_ = 0, patience_ = 0;  // the block that runs, and for how many picks it may
  uint64_t awake_ = 0;               // a bit a block that the random schedule runs
  size_t unfinished_ = 0;            // blocks
  unsigned idle_rounds_ = 0;
  Thread* current_ = nullptr;
  Thread* next_ = nullptr;
  Fiber* running_fiber_ = nullptr;
  std::vector<std::unique_ptr<Fiber>> all_fibers_;
  std::vector<Fiber*> idle_fibers_;
  std::string failure_;
  uint64_t epochs_ = 0;
};
extern Machine machine;

}  // namespace enas::cuda::host
