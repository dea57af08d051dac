// What the runtime of a GPU and that of cuda/host/ share: counters, the count-only mode and the
// text of a fault. Needs no CUDA.
#include <sys/mman.h>

#include <sstream>
#include <unordered_map>

#include "cuda/allocator.h"
#include "cuda/runtime.h"
#include "tensor/check.h"

namespace enas::cuda {
namespace {

struct Counting {
  Counters counters;
  // By the address of the name, a literal: cheaper than its text, and joined when read.
  std::unordered_map<const char*, uint64_t> launches;
  bool only = false;
};
Counting& state() {
  static Counting* const kept = new Counting;
  return *kept;
}

void* reserve(size_t bytes) {
  void* slab = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return slab == MAP_FAILED ? nullptr : slab;
}

const char* name_of(FaultOp op) {
  switch (op) {
    case FaultOp::embedding:
      return "embedding";
    case FaultOp::gather_rows:
      return "gather_rows";
    case FaultOp::pick:
      return "pick";
    case FaultOp::softmax_cross_entropy:
      return "softmax_cross_entropy";
    case FaultOp::sample_categorical:
      return "sample_categorical";
    case FaultOp::augment:
      return "augment";
    case FaultOp::none:
      break;
  }
  return "cuda";
}

}  // namespace

Counters& counters() { return state().counters; }

std::map<std::string, uint64_t> launches_by_op() {
  std::map<std::string, uint64_t> named;
  for (const auto& [op, count] : state().launches) named[op] += count;
  return named;
}

void reset_counters() {
  Counters fresh;
  fresh.live_bytes = fresh.peak_bytes = counters().live_bytes;
  fresh.reserved_bytes = counters().reserved_bytes;
  counters() = fresh;
  state().launches.clear();
}

void count_only(bool on) { state().only = on; }
bool counting() { return state().only; }

bool begin_launch(const char* op) {
  ++state().counters.launches;
  ++state().launches[op];
  return !state().only;
}

Allocator& counting_memory() {
  static Allocator* const memory = new Allocator(
      {reserve, [](void* slab, size_t bytes) { munmap(slab, bytes); }, {}, {}, {}}, counters());
  return *memory;
}

ErrorKind fault_kind(const Fault& fault) {
  return fault.op == FaultOp::sample_categorical ? ErrorKind::diverged : ErrorKind::data;
}

std::string fault_text(const Fault& fault) {
  std::ostringstream text;
  if (fault.op == FaultOp::sample_categorical) {
    text << name_of(fault.op) << ": logits of row " << fault.position
         << " are not finite; try a smaller learning rate";
    return text.str();
  }
  text << name_of(fault.op) << ": index " << fault.index << " at position " << fault.position
       << " is outside " << fault.limit << " rows";
  return text.str();
}

}  // namespace enas::cuda
