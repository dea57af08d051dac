// Reads what Python's pickle module wrote, protocols 2 to 4, as inert data. The machine knows the
// opcodes that plain values and numpy arrays need and has none that acts: GLOBAL, REDUCE and BUILD
// leave an object that remembers a name of a short list, arguments and state. Every length is
// compared with what is left of the file before anything is read, and strings are views of it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tensor/check.h"

namespace enas {

// The only names that a pickle may mention.
enum class PickleGlobal : int64_t { reconstruct, ndarray, dtype, codecs_encode };

class Pickle {
 public:
  using Id = uint32_t;
  enum class Kind : uint8_t { none, boolean, integer, text, list, tuple, dict, global, object };
  struct Value {
    Kind kind = Kind::none;
    int64_t number = 0;     // boolean, integer; global: a PickleGlobal
    std::string_view text;  // str, bytes and unicode alike
    // list, tuple: the items; dict: key, value, key, value, ...; object: callable, arguments and,
    // after a BUILD, state
    std::vector<Id> items;
  };

  // Refuses (kind data, naming file and byte) everything else. Refers to `bytes`.
  Pickle(std::string_view bytes, std::string name);

  const Value& root() const { return values_[root_]; }
  const Value& operator[](Id id) const { return values_[id]; }
  // The value of the last such key of a dict, or nullptr.
  const Value* find(const Value& dict, std::string_view key) const;
  bool is_global(Id id, PickleGlobal global) const;

 private:
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const;
  std::string_view take(uint64_t count);
  uint64_t number(int bytes);  // little-endian
  std::string_view line();
  void step(unsigned char opcode);
  bool step_value(unsigned char opcode);
  bool step_container(unsigned char opcode);
  bool step_memo(unsigned char opcode);
  bool step_object(unsigned char opcode);
  Id push(Value value);
  void push_id(Id id);
  Id pop();
  Id top() const;
  std::vector<Id> pop_to_mark();
  void push_text(uint64_t length);
  void push_integer(int64_t value);
  void push_tuple(size_t count);
  void push_global(std::string_view module, std::string_view name);
  void remember(uint64_t key);
  void extend(Kind kind, const std::vector<Id>& items);
  void reduce();
  void build();

  std::string_view bytes_;
  std::string name_;
  size_t at_ = 0, opcode_at_ = 0;
  int64_t steps_ = 0;
  bool stopped_ = false;
  std::vector<Value> values_;
  std::vector<Id> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  std::unordered_map<uint64_t, Id> memo_;
  Id root_ = 0;
};

}  // namespace enas
