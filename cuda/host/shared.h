// Shared memory of the running block: each access is checked for bounds, alignment, uninitialised
// reads and races.
#pragma once
#include <cstddef>
#include <cstring>
#include <type_traits>

namespace enas::cuda {
namespace host {
unsigned char* shared_memory();
// Throws Error{internal}; offset in bytes from shared_memory().
void check_view(size_t offset, size_t bytes, size_t alignment);
void check_shared(size_t offset, size_t bytes, size_t alignment, bool write);
[[noreturn]] void index_outside(size_t index, size_t count, size_t elements);
}  // namespace host

#define ENAS_SHARED(name) unsigned char* const name = ::enas::cuda::host::shared_memory()

template <class T>
class Shared {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Shared(unsigned char* shared, size_t offset, size_t count)
      : data_(shared + offset),
        offset_(static_cast<size_t>(shared - host::shared_memory()) + offset),
        count_(count) {
    host::check_view(offset_, count * sizeof(T), alignof(T));
  }
  T get(size_t i) const { return get_as<T>(i); }
  void set(size_t i, T value) const { set_as<T>(i, value); }
  template <class Vector>
  Vector get_as(size_t i) const {
    check<Vector>(i, false);
    Vector value;
    std::memcpy(&value, data_ + i * sizeof(T), sizeof(Vector));
    return value;
  }
  template <class Vector>
  void set_as(size_t i, Vector value) const {
    check<Vector>(i, true);
    std::memcpy(data_ + i * sizeof(T), &value, sizeof(Vector));
  }

 private:
  template <class Vector>
  void check(size_t i, bool write) const {
    static_assert(sizeof(Vector) % sizeof(T) == 0);
    constexpr size_t kElements = sizeof(Vector) / sizeof(T);
    if (i >= count_ || kElements > count_ - i) host::index_outside(i, count_, kElements);
    host::check_shared(offset_ + i * sizeof(T), sizeof(Vector), alignof(Vector), write);
  }

  unsigned char* data_;
  size_t offset_, count_;
};

}  // namespace enas::cuda
