// Device memory of the machine on the CPU: one reserved range of addresses that can be touched only
// while a kernel runs, and the same pages at addresses for the runtime itself.
#pragma once
#include <cstddef>
#include <map>
#include <mutex>
#include <string>

#include "cuda/host/schedule.h"

namespace enas::cuda::host {

std::recursive_mutex& runtime_mutex();

class Memory {
 public:
  static constexpr size_t kZone = 256;  // bytes of pattern before and behind a block

  char* allocate(size_t bytes);
  void release(void* block, size_t bytes);
  // Throws Error{internal} that names `where` if a kernel wrote outside a block that lives.
  void check_guards(const char* where);
  // The same of blocks released since; or a kernel wrote to released memory that is in use again.
  void check_released(const char* where);

  // Or to memory that is still free: looks at all of it.
  void check_free(const char* where);

  bool holds(const void* at) const;
  bool is_live(const void* at) const;  // in a block that is not released, or at its end
  char* alias(const void* at) const;
  void open();  // device addresses may be touched; does not nest
  void close();

 private:
  void reserve();
  void part_from_parent();
  struct Block {
    size_t bytes = 0;     // asked for
    size_t capacity = 0;  // between its zones
  };
  static size_t capacity_for(size_t bytes);
  char* take_released(size_t bytes, size_t* capacity);
  char* take_new(size_t capacity);
  void trim();
  std::string damage(const char* block, const Block& b) const;
  void fill_zones(char* block, const Block& b);

  char* base_ = nullptr;   // device addresses
  char* alias_ = nullptr;  // the same pages
  size_t reserved_ = 0, used_ = 0;
  std::map<char*, Block> live_;
  std::multimap<size_t, char*> free_;  // by capacity, filled with 0xff
  std::string released_damage_;
};
Memory& memory();

// What a launch checks after the kernel beside the guards.
void check_zeroed_words(const char* where);
void clear_zeroed_words();

}  // namespace enas::cuda::host
