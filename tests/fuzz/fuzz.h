// What the fuzz targets share: each is one LLVMFuzzerTestOneInput that lets errors of its
// documented kind pass and aborts on everything else. A clang build with -fsanitize=fuzzer-no-link
// makes fuzzers of them (script/fuzz), every other build programs that replay tests/fuzz/corpus.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tensor/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace enas {

// The input, taken from its front.
class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  unsigned byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  std::string_view take(size_t count) {
    const std::string_view front = rest_.substr(0, count);
    rest_.remove_prefix(front.size());
    return front;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// A property that every input has.
inline void require(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "fuzz: broken property: %s\n", what);
  std::abort();
}

// Calls and says whether it came through; only an error of this kind, with a text, may stop it.
template <class Call>
bool accepts(ErrorKind kind, Call call) {
  try {
    call();
    return true;
  } catch (const Error& error) {
    if (error.kind() != kind)
      std::fprintf(stderr, "fuzz: exit %d: %s\n", error.exit_code(), error.what());
    require(error.kind() == kind, "the error is of the documented kind");
    require(error.what()[0] != '\0', "the error has a text");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fuzz: %s\n", error.what());
    require(false, "only enas::Error is thrown");
  }
  return false;
}

// A file in memory with a path, for readers that take nothing else.
class MemoryFile {
 public:
  MemoryFile() : fd_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    require(fd_ >= 0, "memfd_create works");
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  void set(std::string_view bytes) {
    require(::ftruncate(fd_, 0) == 0, "the memory file shrinks");
    const auto written = ::pwrite(fd_, bytes.data(), bytes.size(), 0);
    require(written == static_cast<ssize_t>(bytes.size()), "the memory file takes the bytes");
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

}  // namespace enas
