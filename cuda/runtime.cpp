// The GPU: one device, one stream, made when first asked for and never taken down, so that tensors
// of static duration may outlive every other static. Transfers are in cuda/transfer.cpp.
#include "cuda/runtime.h"

#include <cuda_runtime.h>

#include <cstdlib>
#include <cstring>
#include <sstream>
#include <unordered_map>
#include <vector>

#include "cuda/allocator.h"
#include "cuda/stream.h"
#include "tensor/check.h"
#include "tensor/device.h"

namespace enas::cuda {
namespace {

constexpr int kDevice = 0;  // CUDA_VISIBLE_DEVICES chooses which GPU that is
constexpr int kLeastMajor = 8;
constexpr int kCountedProcessors = 132;  // while counting only: those of an H100 or H200
constexpr size_t kWords = 16;            // of zeroed_words()

bool is_set(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' && std::strcmp(value, "0") != 0;
}

std::string words(cudaError_t error) {
  return std::string(cudaGetErrorString(error)) + " (" + cudaGetErrorName(error) + ")";
}
std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// Errors of these calls are answers, not faults of a later launch.
cudaError_t asked(cudaError_t error) {
  if (error != cudaSuccess) cudaGetLastError();
  return error;
}

int attribute(cudaDeviceAttr which) {
  int value = 0;
  check_cuda(cudaDeviceGetAttribute(&value, which, kDevice), "cuda");
  return value;
}

std::string no_device(cudaError_t error) {
  int driver = 0, own = 0;
  asked(cudaDriverGetVersion(&driver));
  asked(cudaRuntimeGetVersion(&own));
  if (driver == 0) return "no CUDA driver was found; install NVIDIA's driver, or use --device cpu";
  if (error == cudaErrorInsufficientDriver)
    return "the CUDA driver is too old: it serves CUDA up to " + version_text(driver) +
           ", this build needs " + version_text(own) + "; update the driver, or use --device cpu";
  if (error == cudaErrorNoDevice)
    return "the CUDA driver sees no GPU (is CUDA_VISIBLE_DEVICES set?); use --device cpu";
  return "the CUDA driver does not answer: " + words(error) + "; use --device cpu";
}

std::string why_unavailable() {
  int devices = 0;
  const cudaError_t error = asked(cudaGetDeviceCount(&devices));
  if (error != cudaSuccess || devices == 0)
    return no_device(error == cudaSuccess ? cudaErrorNoDevice : error);
  int major = 0, minor = 0;
  asked(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, kDevice));
  asked(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, kDevice));
  if (major < kLeastMajor)
    return "the GPU is of compute capability " + std::to_string(major) + "." +
           std::to_string(minor) + ", these kernels need 8.0 or later; use --device cpu";
  cudaError_t context = asked(cudaSetDevice(kDevice));
  if (context == cudaSuccess) context = asked(cudaFree(nullptr));  // makes the context
  if (context != cudaSuccess)
    return "the GPU cannot be used: " + words(context) + "; use --device cpu";
  return "";
}

struct Runtime {
  cudaStream_t stream = nullptr;
  Allocator* memory = nullptr;
  Fault* fault = nullptr;
  unsigned int* words = nullptr;
  int processors = 0, shared_limit = 0;
  bool check_each_launch = is_set("ENAS_CUDA_CHECK");
  std::unordered_map<const void*, size_t> shared_allowed;  // kernel -> bytes
};

MemorySource device_source(cudaStream_t queue) {
  MemorySource source;
  source.obtain = [](size_t bytes) -> void* {
    void* slab = nullptr;
    const cudaError_t error = asked(cudaMalloc(&slab, bytes));
    if (error == cudaErrorMemoryAllocation) return nullptr;
    check_cuda(error, "cuda memory");
    return slab;
  };
  source.give_back = [queue](void* slab, size_t) {
    check_cuda(cudaStreamSynchronize(queue), "cuda memory");
    check_cuda(cudaFree(slab), "cuda memory");
  };
  source.free_bytes = [] {
    size_t free = 0, total = 0;
    asked(cudaMemGetInfo(&free, &total));
    return free;
  };
  source.fill = [queue](void* at, int byte, size_t count) {
    check_cuda(cudaMemsetAsync(at, byte, count, queue), "cuda memory");
  };
  // Called where nothing may be thrown: a CUDA error shows at the next call that can.
  source.first_other = [queue](const void* at, int byte, size_t count) {
    std::vector<unsigned char> bytes(count);
    if (cudaMemcpyAsync(bytes.data(), at, count, cudaMemcpyDeviceToHost, queue) != cudaSuccess ||
        cudaStreamSynchronize(queue) != cudaSuccess)
      return count;
    size_t i = 0;
    while (i < count && bytes[i] == static_cast<unsigned char>(byte)) ++i;
    return i;
  };
  return source;
}

Runtime* start() {
  const std::string why = why_unavailable();
  check(why.empty(), ErrorKind::device, "cuda", why);
  auto* made = new Runtime;
  check_cuda(cudaStreamCreateWithFlags(&made->stream, cudaStreamNonBlocking), "cuda");
  made->processors = attribute(cudaDevAttrMultiProcessorCount);
  made->shared_limit = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  made->memory = new Allocator(device_source(made->stream), counters());
  made->memory->set_guard(is_set("ENAS_CUDA_GUARD"));
  made->memory->set_poison(is_set("ENAS_CUDA_POISON"));
  made->fault = static_cast<Fault*>(made->memory->get(sizeof(Fault)));
  made->words = static_cast<unsigned int*>(made->memory->get(kWords * sizeof(unsigned int)));
  check_cuda(cudaMemsetAsync(made->fault, 0, sizeof(Fault), made->stream), "cuda");
  check_cuda(cudaMemsetAsync(made->words, 0, kWords * sizeof(unsigned int), made->stream), "cuda");
  return made;
}

Runtime& runtime() {
  check(!counting(), "cuda", "the device was asked for while only counting");
  static Runtime* const kept = start();
  return *kept;
}

Allocator& memory() { return counting() ? counting_memory() : *runtime().memory; }

// Addresses for kernels that will not run.
void* counted_words() {
  static void* const kept = counting_memory().get(Allocator::kAlign);
  return kept;
}

const char* last_launch = "none";

}  // namespace

void check_cuda(cudaError_t error, const char* where) {
  if (error == cudaSuccess) [[likely]]
    return;
  cudaGetLastError();
  if (error == cudaErrorMemoryAllocation)
    fail(ErrorKind::memory, where, "out of memory on the GPU or of pinned host memory (",
         counters().reserved_bytes >> 20,
         " MiB are reserved); try a smaller --batch or a smaller network");
  fail(ErrorKind::device, where, words(error), "; the last kernel queued was that of '",
       last_launch, "'; run again with ENAS_CUDA_CHECK=1 to learn which one failed");
}

cudaStream_t stream() { return runtime().stream; }

void check_launch(const char* op) {
  last_launch = op;
  cudaError_t error = cudaGetLastError();
  const bool wait = runtime().check_each_launch;
  if (error == cudaSuccess && wait) error = cudaStreamSynchronize(runtime().stream);
  if (error == cudaSuccess) [[likely]]
    return;
  fail(ErrorKind::device, op,
       wait ? "its kernel failed: " : "its kernel, or one before it, failed: ", words(error),
       wait ? "" : "; run again with ENAS_CUDA_CHECK=1 to learn which");
}

void allow_shared_memory(const char* op, const void* kernel, size_t bytes) {
  size_t& allowed = runtime().shared_allowed[kernel];
  if (bytes <= allowed) return;
  const auto limit = static_cast<size_t>(runtime().shared_limit);
  check(bytes <= limit, ErrorKind::device, op, "needs ", bytes,
        " bytes of shared memory a block, this GPU has ", limit);
  check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(bytes)),
             op);
  allowed = bytes;
}

std::string unavailable() { return counting() ? "" : why_unavailable(); }

std::string device_name() {
  if (counting()) return "no GPU: launches are counted, not run";
  runtime();
  cudaDeviceProp properties;
  check_cuda(cudaGetDeviceProperties(&properties, kDevice), "cuda");
  int driver = 0;
  check_cuda(cudaDriverGetVersion(&driver), "cuda");
  std::ostringstream text;
  text << properties.name << ", sm_" << properties.major << properties.minor << ", "
       << (properties.totalGlobalMem >> 30) << " GiB, driver " << version_text(driver);
  return text.str();
}

int multiprocessors() { return counting() ? kCountedProcessors : runtime().processors; }

void* allocate(size_t bytes) { return memory().get(bytes); }
void release(void* block, size_t bytes) noexcept { memory().put(block, bytes); }
void check_guards(const char* where) { memory().check_guards(where); }

Fault* fault() { return counting() ? static_cast<Fault*>(counted_words()) : runtime().fault; }
unsigned int* zeroed_words() {
  return counting() ? static_cast<unsigned int*>(counted_words()) : runtime().words;
}

Scratch::Scratch(size_t bytes) : data_(allocate(bytes)), bytes_(bytes) {}
Scratch::~Scratch() { release(data_, bytes_); }

}  // namespace enas::cuda
