// Barriers and warp collectives.
#include <cstring>
#include <string>

#include "cuda/host/machine.h"

namespace enas::cuda::host {
namespace {

bool same(Site a, Site b) {
  return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

bool arrive(Site site, bool vote, bool any) {
  Thread& self = machine.current();
  Block& block = *self.block;
  if (block.arrived == 0) {
    block.site = site;
  } else if (!same(site, block.site)) {
    throw Finding("divergent barrier: others of the block wait at " + to_string(block.site) +
                  ", this thread at " + to_string(site));
  }
  block.votes += vote ? 1 : 0;
  ++block.arrived;
  if (block.arrived == block.alive && block.alive < block.threads.size()) {
    throw Finding("the barrier at " + to_string(site) +
                  " is never reached by a thread that has returned");
  }
  const bool last = block.arrived == block.threads.size();
  if (last) machine.release_barrier(block);  // wakes this thread too: any may go first
  machine.wait(last ? State::ready : State::at_barrier);
  return any ? block.voted > 0 : block.voted == block.threads.size();
}

}  // namespace

std::string to_string(Site site) {
  const char* slash = std::strrchr(site.file, '/');
  return std::string(slash == nullptr ? site.file : slash + 1) + ":" + std::to_string(site.line);
}

void barrier(Site site) { arrive(site, false, true); }
bool barrier_vote(Site site, bool vote, bool any) { return arrive(site, vote, any); }

unsigned lane() { return machine.current().linear % 32; }

const uint64_t* exchange(const char* name, Site site, unsigned mask, uint64_t value) {
  Thread& self = machine.current();
  Block& block = *self.block;
  const unsigned first = self.linear / 32 * 32;
  Warp& warp = block.warps[self.linear / 32];
  if (mask != 0xffffffffu) throw Finding(std::string(name) + " under a mask that is not full");
  if (first + 32 > block.threads.size()) {
    throw Finding(std::string(name) + " in a warp of fewer than 32 threads");
  }
  if (warp.arrived == 0) {
    warp.name = name;
    warp.site = site;
  } else if (!same(site, warp.site) || std::strcmp(name, warp.name) != 0) {
    throw Finding("mismatched warp collectives: other lanes wait in " + std::string(warp.name) +
                  " of " + to_string(warp.site) + ", this one calls " + name + " of " +
                  to_string(site));
  }
  uint64_t* lanes = warp.lanes[warp.phase];
  lanes[self.linear % 32] = value;
  if (++warp.arrived < 32) {
    machine.wait(State::in_collective);
    return lanes;
  }
  warp.arrived = 0;
  warp.phase ^= 1;
  if (std::strcmp(name, "__syncwarp") == 0) ++warp.epoch;
  for (unsigned i = 0; i < 32; ++i) {
    Thread& other = block.threads[first + (machine.from_the_end() ? 31 - i : i)];
    if (&other != &self) machine.wake(other);
  }
  return lanes;
}

void warp_barrier(Site site, unsigned mask) { exchange("__syncwarp", site, mask, 0); }

// The random schedule stops threads here at times, and another comes between.
void between_atomics() {
  if (!machine.chance(8)) return;
  machine.wake(machine.current());
  machine.wait(State::ready);
}

void pause_in_spin() { machine.spin(); }

}  // namespace enas::cuda::host
