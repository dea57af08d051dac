// Which thread runs next.
#include <algorithm>
#include <mutex>

#include "cuda/host/machine.h"
#include "cuda/host/memory.h"

namespace enas::cuda::host {

namespace {
constexpr unsigned kIdleRounds = 20000;  // of spinning alone: nothing will come
constexpr size_t kLongQueue = 8192;      // places used up before the rest moves
constexpr size_t kForever = ~size_t{0};
}  // namespace

const char* name_of(Schedule schedule) {
  switch (schedule) {
    case Schedule::round_robin:
      return "round_robin";
    case Schedule::reversed:
      return "reversed";
    case Schedule::random:
      return "random";
    case Schedule::greedy:
      return "greedy";
  }
  return "";
}

void set_schedule(Schedule schedule, uint64_t seed) {
  const std::lock_guard lock(runtime_mutex());
  machine.set_schedule(schedule, seed);
}

void Machine::set_schedule(Schedule schedule, uint64_t seed) {
  schedule_ = schedule;
  seed_ = seed;
  launches_ = 0;
}

uint64_t Random::next() {
  uint64_t z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

void Queue::clear() {
  items_.clear();
  head_ = 0;
}
Thread* Queue::take_first() {
  Thread* thread = items_[head_++];
  if (empty()) clear();
  if (head_ >= kLongQueue) {
    items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
  return thread;
}
Thread* Queue::take_last() {
  Thread* thread = items_.back();
  items_.pop_back();
  if (empty()) clear();
  return thread;
}
Thread* Queue::take(size_t i) {
  std::swap(items_[head_ + i], items_.back());
  return take_last();
}

bool Machine::chance(unsigned one_in) {
  return schedule_ == Schedule::random && random_.below(one_in) == 0;
}

bool Machine::any_ready() {
  for (size_t s = 0; s < resident_; ++s) {
    if (!slots_[s]->ready.empty()) return true;
  }
  return false;
}

// When nothing else can run, those that wait in a loop look again.
bool Machine::wake_spinning() {
  bool any = false;
  for (size_t s = 0; s < resident_; ++s) {
    Block& block = *slots_[s];
    for (Thread* thread : block.spinning) block.ready.push(thread);
    any = any || !block.spinning.empty();
    block.spinning.clear();
  }
  if (any && ++idle_rounds_ > kIdleRounds) {
    failure_ = "livelock: threads wait in a loop for what no other thread will do" +
               std::string(grid_.cooperative ? ""
                                             : "; blocks that wait for each other need "
                                               "launch_cooperative");
    return false;
  }
  return any;
}

// Any block that is awake; which ones sleep is drawn anew after a while, so that some fall far
// behind others.
size_t Machine::any_block() {
  if (patience_ == 0) {
    awake_ = random_.next();
    patience_ = 1 + random_.below(4 * slots_[0]->threads.size());
  }
  --patience_;
  const size_t from = random_.below(resident_);
  for (size_t i = 0; i < resident_; ++i) {
    const size_t s = (from + i) % resident_;
    if ((awake_ >> (s % 64) & 1) != 0 && !slots_[s]->ready.empty()) return s;
  }
  return from;
}

Block* Machine::choose_block() {
  if (!any_ready() && !wake_spinning()) return nullptr;
  if (schedule_ == Schedule::random) {
    focus_ = any_block();
  } else if (schedule_ == Schedule::greedy && (patience_ == 0 || slots_[focus_]->ready.empty())) {
    focus_ = random_.below(resident_);
    patience_ = random_.below(2) == 0 ? kForever : 1 + random_.below(2 * slots_[0]->threads.size());
  } else if (schedule_ == Schedule::greedy && patience_ != kForever) {
    --patience_;
  }
  while (slots_[focus_]->ready.empty()) focus_ = (focus_ + 1) % resident_;
  return slots_[focus_].get();
}

Thread* Machine::pick() {
  Block* block = choose_block();
  if (block == nullptr) return nullptr;
  switch (schedule_) {
    case Schedule::random:
      return block->ready.take(random_.below(block->ready.size()));
    case Schedule::greedy:
      return block->ready.take_last();
    default:
      return block->ready.take_first();
  }
}

// Nothing can run and not all is done: who waits where.
std::string Machine::stuck() const {
  for (size_t s = 0; s < resident_; ++s) {
    const Block& block = *slots_[s];
    if (block.alive == 0) continue;
    std::string text = "deadlock";
    const Thread* first = nullptr;
    if (block.arrived > 0) {
      text += ": " + std::to_string(block.arrived) + " of " + std::to_string(block.threads.size()) +
              " threads wait at the barrier of " + to_string(block.site);
    }
    for (size_t w = 0; w < block.warps.size(); ++w) {
      const Warp& warp = block.warps[w];
      if (warp.arrived == 0) continue;
      text += ": " + std::to_string(warp.arrived) + " of 32 lanes of warp " + std::to_string(w) +
              " wait in " + warp.name + " of " + to_string(warp.site);
      break;
    }
    for (const Thread& thread : block.threads) {
      if (first == nullptr && thread.state != State::done) first = &thread;
    }
    return text + (first == nullptr ? "" : where(*first));
  }
  return "deadlock";
}

}  // namespace enas::cuda::host
