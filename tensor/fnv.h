// FNV-1a, 64 bits (Fowler, Noll, Vo): a hash of names and of texts that is the same on every
// machine.
#pragma once
#include <cstdint>

namespace enas {

class Fnv1a {
 public:
  void add(unsigned char byte) { value_ = (value_ ^ byte) * 0x100000001b3u; }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325u;
};

}  // namespace enas
