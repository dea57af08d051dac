// What cuda/ adds to the device functions of tensor/device.h: counters that tests and --plan read,
// the record in which a kernel leaves an index that does not fit, and what stands on the machine.
// Implemented in cuda/runtime.cpp and, for kernels run on the CPU, in cuda/host/runtime.cpp.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace enas::cuda {

struct Counters {
  uint64_t launches = 0;
  uint64_t device_allocations = 0;  // cudaMalloc: none in a warm step
  uint64_t waits = 0;               // host waits for all queued work: download()
  uint64_t late_waits = 0;          // finish_download() of a copy that had not arrived
  uint64_t live_bytes = 0, peak_bytes = 0, reserved_bytes = 0;
};
Counters& counters();

// Why --device cuda cannot run here, in words; empty where it can. Loads the driver, no library.
std::string unavailable();
std::string device_name();  // "NVIDIA H100 80GB HBM3, sm_90, 79 GiB, driver 13.0"; for run.json
int multiprocessors();      // of the device: grids that stride over their work ask for a few blocks
                            // each

// A kernel cannot throw. The first index that does not fit is left here, and the next wait of the
// host (download, finish_download) throws Error{data}: "<op>: index 12 at position 3 is outside 10
// rows".
enum class FaultOp : uint32_t { none, embedding, gather_rows, pick, softmax_cross_entropy };
struct Fault {
  unsigned int claimed;  // 0 or 1
  FaultOp op;
  long long index, position, limit;
};
Fault* fault();  // on the device

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

// Zeroed words for last_block() of cuda/sync.cuh; each use leaves them zero again. At most 64
// bytes.
unsigned int* zeroed_words();

}  // namespace enas::cuda
