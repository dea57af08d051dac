// The checks of shared memory, in words of 4 bytes.
#include "cuda/host/shared.h"

#include <algorithm>

#include "cuda/host/machine.h"

namespace enas::cuda::host {
namespace {

std::string at_byte(size_t offset) { return " at byte " + std::to_string(offset); }

// Whether an access of thread `other` in this epoch is unordered with one that `self` makes now.
bool unordered(const Thread& self, unsigned warp_epoch, unsigned other, unsigned other_epoch) {
  if (other == self.linear) return false;
  return other / 32 != self.linear / 32 || other_epoch >= warp_epoch;
}

[[noreturn]] void race(const char* kind, size_t word, unsigned other) {
  throw Finding(std::string(kind) + " race on shared memory" + at_byte(word * 4) +
                " with linear thread " + std::to_string(other) + " of the block");
}

void write_word(Shadow& s, const Thread& self, unsigned warp_epoch, size_t word, uint8_t bytes) {
  const Block& block = *self.block;
  const bool written = s.write_epoch == block.epoch;
  if (written && (s.written_bytes & bytes) != 0 &&
      unordered(self, warp_epoch, s.writer, s.write_warp_epoch)) {
    race("write-write", word, s.writer);
  }
  if (s.read_epoch == block.epoch) {
    const bool same_warp = s.reader / 32 == self.linear / 32;
    const bool hit = s.read_by == 3 ||
                     (s.read_by == 2 && !(same_warp && s.read_warp_epoch < warp_epoch)) ||
                     (s.read_by == 1 && unordered(self, warp_epoch, s.reader, s.read_warp_epoch));
    if (hit) race("read-write", word, s.reader);
  }
  const bool same_writer = written && s.writer == self.linear;
  s.written_bytes = static_cast<uint8_t>(same_writer ? s.written_bytes | bytes : bytes);
  s.writer = self.linear;
  s.write_epoch = block.epoch;
  s.write_warp_epoch = warp_epoch;
  const bool fresh = s.init_epoch < block.first_epoch;
  s.init_bytes = static_cast<uint8_t>(fresh ? bytes : s.init_bytes | bytes);
  s.init_epoch = block.epoch;
}

void read_word(Shadow& s, const Thread& self, unsigned warp_epoch, size_t word, uint8_t bytes) {
  const Block& block = *self.block;
  if (s.init_epoch < block.first_epoch || (s.init_bytes & bytes) != bytes) {
    throw Finding("shared memory read before it is written," + at_byte(word * 4));
  }
  if (s.write_epoch == block.epoch && (s.written_bytes & bytes) != 0 &&
      unordered(self, warp_epoch, s.writer, s.write_warp_epoch)) {
    race("write-read", word, s.writer);
  }
  if (s.read_epoch != block.epoch) {
    s.read_by = 1;
  } else if (s.reader / 32 != self.linear / 32) {
    s.read_by = 3;
  } else if (s.read_by != 3) {
    if (s.read_warp_epoch < warp_epoch) {
      s.read_by = 1;  // the earlier reads come before whatever this warp does now
    } else if (s.reader != self.linear) {
      s.read_by = 2;
    }
  }
  s.reader = self.linear;
  s.read_epoch = block.epoch;
  s.read_warp_epoch = warp_epoch;
}

}  // namespace

unsigned char* shared_memory() { return machine.current().block->shared; }

void check_view(size_t offset, size_t bytes, size_t alignment) {
  const size_t have = machine.grid().shared_bytes;
  if (offset > have || bytes > have - offset) {
    throw Finding("a view of " + std::to_string(bytes) + " bytes" + at_byte(offset) +
                  " does not fit the " + std::to_string(have) + " bytes of shared memory");
  }
  if (offset % alignment != 0) throw Finding("misaligned shared memory view" + at_byte(offset));
}

void index_outside(size_t index, size_t count, size_t elements) {
  throw Finding("shared memory index " + std::to_string(index) +
                (elements > 1 ? " (of " + std::to_string(elements) + " elements)" : "") +
                " is out of range of a view of " + std::to_string(count));
}

void check_shared(size_t offset, size_t bytes, size_t alignment, bool write) {
  if (offset % alignment != 0) throw Finding("misaligned shared memory access" + at_byte(offset));
  const Thread& self = machine.current();
  const unsigned warp_epoch = self.block->warps[self.linear / 32].epoch;
  const size_t end = offset + bytes;
  for (size_t word = offset / 4; word * 4 < end; ++word) {
    const size_t from = std::max(offset, word * 4) - word * 4;
    const size_t to = std::min(end, word * 4 + 4) - word * 4;
    const auto mask = static_cast<uint8_t>((1u << to) - (1u << from));
    Shadow& shadow = self.block->shadow[word];
    if (write) {
      write_word(shadow, self, warp_epoch, word, mask);
    } else {
      read_word(shadow, self, warp_epoch, word, mask);
    }
  }
}

}  // namespace enas::cuda::host
