#include "cuda/allocator.h"

#include <algorithm>
#include <bit>
#include <sstream>

#include "tensor/check.h"

namespace enas::cuda {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kRefill = size_t{64} << 10;  // a small class takes this much of a slab at once

size_t round_up(size_t bytes, size_t step) { return (bytes + step - 1) / step * step; }

std::string in_mib(uint64_t bytes) {
  std::ostringstream text;
  text << ((bytes + (uint64_t{1} << 20) - 1) >> 20) << " MiB";
  return text.str();
}

}  // namespace

Allocator::Allocator(MemorySource source, Counters& counters)
    : source_(std::move(source)), counters_(counters) {}

Allocator::~Allocator() {
  for (char* slab : small_slabs_) source_.give_back(slab, kSmallSlab);
  for (const auto& [slab, bytes] : slabs_) source_.give_back(slab, bytes);
}

// 256, 512, 768, 1024, then four steps an octave: at most 25 % is wasted.
size_t Allocator::class_bytes(size_t bytes) {
  if (bytes >= kLarge) return round_up(bytes, kPage);
  if (bytes <= 4 * kAlign) return bytes == 0 ? kAlign : round_up(bytes, kAlign);
  return round_up(bytes, std::bit_floor(bytes - 1) / 4);
}

size_t Allocator::class_index(size_t size) {
  if (size <= 4 * kAlign) return size / kAlign - 1;
  const size_t octave = std::bit_floor(size - 1);
  return 4 + (static_cast<size_t>(std::countr_zero(octave)) - 10) * 4 +
         (size - octave) / (octave / 4) - 1;
}

char* Allocator::obtain(size_t bytes) {
  char* slab = static_cast<char*>(source_.obtain(bytes));
  if (slab == nullptr) return nullptr;
  ++counters_.device_allocations;
  counters_.reserved_bytes += bytes;
  return slab;
}

void Allocator::refuse(size_t bytes) {
  std::ostringstream text;
  text << "no room for " << in_mib(bytes) << ": " << in_mib(counters_.live_bytes) << " in use, "
       << in_mib(counters_.reserved_bytes - counters_.live_bytes) << " free in pieces";
  if (source_.free_bytes) text << ", " << in_mib(source_.free_bytes()) << " free on the device";
  fail(ErrorKind::memory, "cuda memory", text.str(),
       "; try a smaller --batch or a smaller network");
}

char* Allocator::take_small(size_t size) {
  std::vector<char*>& free = free_[class_index(size)];
  if (free.empty()) {
    if (carve_left_ < size) {
      char* slab = obtain(kSmallSlab);
      if (slab == nullptr && release_free() > 0) slab = obtain(kSmallSlab);
      if (slab == nullptr) refuse(size);
      small_slabs_.push_back(slab);
      carve_ = slab;
      carve_left_ = kSmallSlab;
    }
    const size_t chunk = std::min(kRefill, carve_left_) / size * size;
    for (size_t at = chunk; at >= size; at -= size) free.push_back(carve_ + at - size);
    carve_ += chunk;
    carve_left_ -= chunk;
  }
  char* block = free.back();
  free.pop_back();
  return block;
}

char* Allocator::take_large(size_t size) {
  auto fit = by_size_.lower_bound({size, nullptr});
  if (fit == by_size_.end()) {
    const size_t least = round_up(size, kSmallSlab);
    const size_t more =
        std::clamp(round_up(counters_.reserved_bytes / 8, kSmallSlab), kSlab, kMostSlab);
    size_t bytes = std::max(least, more);
    char* slab = obtain(bytes);
    if (slab == nullptr) slab = obtain(bytes = least);
    if (slab == nullptr && release_free() > 0) slab = obtain(least);
    if (slab == nullptr) refuse(size);
    slabs_.emplace(slab, bytes);
    give_large(slab, bytes);
    fit = by_size_.lower_bound({size, nullptr});
  }
  const auto [have, block] = *fit;
  by_size_.erase(fit);
  ranges_.erase(block);
  if (have > size) {
    ranges_.emplace(block + size, have - size);
    by_size_.emplace(have - size, block + size);
  }
  return block;
}

void Allocator::give_small(char* block, size_t size) { free_[class_index(size)].push_back(block); }

// Two slabs may touch: their ranges must not grow together, for each slab goes back by itself.
void Allocator::give_large(char* block, size_t size) {
  const auto [slab, slab_bytes] = *std::prev(slabs_.upper_bound(block));
  auto next = ranges_.lower_bound(block);
  if (next != ranges_.end() && block + size == next->first && next->first < slab + slab_bytes) {
    size += next->second;
    by_size_.erase({next->second, next->first});
    next = ranges_.erase(next);
  }
  if (next != ranges_.begin()) {
    const auto previous = std::prev(next);
    if (previous->first >= slab && previous->first + previous->second == block) {
      by_size_.erase({previous->second, previous->first});
      block = previous->first;
      size += previous->second;
      ranges_.erase(previous);
    }
  }
  ranges_.emplace(block, size);
  by_size_.emplace(size, block);
}

// Returns the bytes given back. Small slabs stay: they hold 2 MiB each.
size_t Allocator::release_free() {
  size_t released = 0;
  for (auto slab = slabs_.begin(); slab != slabs_.end();) {
    const auto [at, bytes] = *slab;
    const auto range = ranges_.find(at);
    if (range == ranges_.end() || range->second != bytes) {
      ++slab;
      continue;
    }
    ranges_.erase(range);
    by_size_.erase({bytes, at});
    slab = slabs_.erase(slab);
    counters_.reserved_bytes -= bytes;
    released += bytes;
    source_.give_back(at, bytes);
  }
  return released;
}

void Allocator::release_free_slabs() {
  const std::lock_guard<std::mutex> lock(busy_);
  release_free();
}

char* Allocator::take(size_t size) { return size >= kLarge ? take_large(size) : take_small(size); }

void* Allocator::get(size_t bytes) {
  const std::lock_guard<std::mutex> lock(busy_);
  check(bytes <= SIZE_MAX / 2, "cuda memory", "a block of ", bytes, " bytes was asked for");
  const size_t size = class_bytes(guard_ ? bytes + 2 * kGuard : bytes);
  char* block = take(size);
  ++live_blocks_;
  counters_.live_bytes += size;
  counters_.handed_out_bytes += size;
  counters_.peak_bytes = std::max(counters_.peak_bytes, counters_.live_bytes);
  if (guard_) {
    place_guards(block, bytes, size);
    block += kGuard;
    live_.emplace(block, bytes);
  }
  if (poison_ && source_.fill) source_.fill(block, 0xff, bytes);
  return block;
}

void Allocator::put(void* block, size_t bytes) noexcept {
  const std::lock_guard<std::mutex> lock(busy_);
  char* raw = static_cast<char*>(block);
  if (guard_) {
    if (live_.erase(raw) == 0) {
      if (damage_.empty()) damage_ = "a block was freed twice, or never handed out";
      return;
    }
    look_at(raw, bytes);
    raw -= kGuard;
  }
  const size_t size = class_bytes(guard_ ? bytes + 2 * kGuard : bytes);
  --live_blocks_;
  counters_.live_bytes -= size;
  size >= kLarge ? give_large(raw, size) : give_small(raw, size);
}

void Allocator::set_guard(bool on) {
  check(live_blocks_ == 0, "cuda memory", "guards were switched while blocks are live");
  guard_ = on && source_.fill && source_.first_other;
}

// The zone behind reaches to the end of the size class, so that one byte too many shows.
void Allocator::place_guards(char* raw, size_t bytes, size_t size) {
  source_.fill(raw, kGuardByte, kGuard);
  source_.fill(raw + kGuard + bytes, kGuardByte, size - kGuard - bytes);
}

void Allocator::look_at(const char* block, size_t bytes) {
  if (!damage_.empty()) return;
  const size_t behind = class_bytes(bytes + 2 * kGuard) - kGuard - bytes;
  const size_t before = source_.first_other(block - kGuard, kGuardByte, kGuard);
  const size_t after = source_.first_other(block + bytes, kGuardByte, behind);
  if (before == kGuard && after == behind) return;
  std::ostringstream text;
  text << "a block of " << bytes << " bytes was overrun: byte ";
  before != kGuard ? text << kGuard - before << " before it" : text << after << " behind it";
  text << " was written";
  damage_ = text.str();
}

void Allocator::check_guards(const char* where) {
  const std::lock_guard<std::mutex> lock(busy_);
  for (const auto& [block, bytes] : live_) look_at(block, bytes);
  std::string found;
  found.swap(damage_);
  if (!found.empty()) fail(ErrorKind::internal, where, found);
}

}  // namespace enas::cuda
