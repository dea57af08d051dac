// What cuda/ adds to the device functions of tensor/device.h and tensor/gpu.h: the record in which
// a kernel leaves an index that does not fit, scratch memory, and what launchers need. Implemented
// in cuda/runtime.cpp and cuda/transfer.cpp or, for kernels run on the CPU, in cuda/host/;
// cuda/counters.cpp, which needs no CUDA, serves both.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "tensor/gpu.h"

namespace enas {
enum class ErrorKind;
}
namespace enas::cuda {

// Counts a launch of `op`, a literal. False while counting only: the kernel is not to run.
bool begin_launch(const char* op);

// Of the device: grids that stride over their work ask for a few blocks each.
int multiprocessors();

// A kernel cannot throw. The first index that does not fit, or row that cannot be sampled, is left
// here, and the next wait of the host (download, finish_download) throws Error{fault_kind(),
// fault_text()}.
enum class FaultOp : uint32_t {
  none,
  embedding,
  gather_rows,
  pick,
  softmax_cross_entropy,
  sample_categorical,  // position: the row whose logits are not finite
  augment
};
struct Fault {
  unsigned int claimed;  // 0 or 1
  FaultOp op;
  long long index, position, limit;
};
Fault* fault();  // on the device
// data: "<op>: index 12 at position 3 is outside 10 rows"; or diverged. In cuda/counters.cpp.
ErrorKind fault_kind(const Fault& fault);
std::string fault_text(const Fault& fault);

// Scratch memory of one launch on the device: freed when the launcher returns, which the stream's
// order makes safe.
class Scratch {
 public:
  explicit Scratch(size_t bytes);
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();
  template <class T>
  T* as() {
    return static_cast<T*>(data_);
  }

 private:
  void* data_;
  size_t bytes_;
};

// With ENAS_CUDA_GUARD=1 each block lies between two zones of known bytes, which are looked at when
// it is freed; this looks at all live blocks too and throws Error{internal} that names `where` and
// the first zone found overwritten. Does nothing without guards.
void check_guards(const char* where);

// Zeroed words for last_block() of cuda/sync.cuh; each use leaves them zero again. At most 64
// bytes.
unsigned int* zeroed_words();

}  // namespace enas::cuda
