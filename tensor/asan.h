// AddressSanitizer, where the build has it: what the pools of memory hide from it, they tell it.
#pragma once
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define ENAS_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define ENAS_TSAN 1
#elif defined(__has_feature)  // clang
#if __has_feature(address_sanitizer)
#define ENAS_ASAN 1
#elif __has_feature(thread_sanitizer)
#define ENAS_TSAN 1
#endif
#endif
#ifdef ENAS_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define ENAS_NO_ASAN __attribute__((no_sanitize("address")))  // may touch what is poisoned
#else
#define ENAS_NO_ASAN
#endif

namespace enas {

#ifdef ENAS_ASAN
constexpr bool kAsan = true;
inline void asan_poison(const void* at, size_t bytes) { __asan_poison_memory_region(at, bytes); }
inline void asan_unpoison(const void* at, size_t bytes) {
  __asan_unpoison_memory_region(at, bytes);
}
inline bool asan_poisoned(const void* at) { return __asan_address_is_poisoned(at) != 0; }
#else
constexpr bool kAsan = false;
inline void asan_poison(const void*, size_t) {}
inline void asan_unpoison(const void*, size_t) {}
inline bool asan_poisoned(const void*) { return false; }
#endif

}  // namespace enas
