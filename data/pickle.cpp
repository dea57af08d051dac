// See pickle.h. Opcodes as in Python's Lib/pickletools.py.
#include "data/pickle.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace enas {
namespace {

// A batch of CIFAR-10 takes some 30,000; this also bounds the memory, at about 150 bytes a step.
constexpr int64_t kMostSteps = 250000;
constexpr size_t kLongestLine = 256;

struct GlobalName {
  std::string_view module, name;
  PickleGlobal global;
};
constexpr GlobalName kGlobals[] = {
    {"numpy.core.multiarray", "_reconstruct", PickleGlobal::reconstruct},
    {"numpy._core.multiarray", "_reconstruct", PickleGlobal::reconstruct},
    {"numpy", "ndarray", PickleGlobal::ndarray},
    {"numpy", "dtype", PickleGlobal::dtype},
    {"_codecs", "encode", PickleGlobal::codecs_encode},
};

enum Opcode : unsigned char {
  kMark = '(',
  kStop = '.',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kReduce = 'R',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kEmptyDict = '}',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kEmptyList = ']',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kEmptyTuple = ')',
  kSetItems = 'u',
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kProto = 0x80,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinBytes8 = 0x8e,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
};

// Safe to print: what is not plain ASCII becomes \xNN.
std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text.substr(0, 64)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f)
      result += c;
    else
      result += fmt::format("\\x{:02x}", byte);
  }
  return result;
}

int64_t sign_extended(uint64_t bits, int bytes) {
  if (bytes == 0) return 0;
  const int shift = 64 - 8 * bytes;
  return static_cast<int64_t>(bits << shift) >> shift;
}

}  // namespace

template <class... Parts>
void Pickle::refuse(const Parts&... parts) const {
  fail(ErrorKind::data, name_, "byte ", opcode_at_, ": ", parts...);
}

Pickle::Pickle(std::string_view bytes, std::string name) : bytes_(bytes), name_(std::move(name)) {
  check(bytes.size() >= 2 && static_cast<unsigned char>(bytes[0]) == kProto, ErrorKind::data, name_,
        "found no pickle of protocol 2, 3 or 4; expected one of the python version of CIFAR-10");
  while (!stopped_) {
    opcode_at_ = at_;
    if (++steps_ > kMostSteps)
      refuse("found more than ", kMostSteps, " opcodes; expected a batch of CIFAR-10");
    step(static_cast<unsigned char>(take(1)[0]));
  }
  if (at_ != bytes_.size()) refuse("found ", bytes_.size() - at_, " bytes after the pickle's end");
}

const Pickle::Value* Pickle::find(const Value& dict, std::string_view key) const {
  for (size_t i = dict.items.size(); i >= 2; i -= 2) {
    const Value& candidate = values_[dict.items[i - 2]];
    if (candidate.kind == Kind::text && candidate.text == key) return &values_[dict.items[i - 1]];
  }
  return nullptr;
}

bool Pickle::is_global(Id id, PickleGlobal global) const {
  const Value& value = values_[id];
  return value.kind == Kind::global && value.number == static_cast<int64_t>(global);
}

std::string_view Pickle::take(uint64_t count) {
  const uint64_t left = bytes_.size() - at_;
  if (count > left)
    refuse("found ", left, " bytes to the end; expected ", count, " more (is the file cut short?)");
  const std::string_view taken = bytes_.substr(at_, static_cast<size_t>(count));
  at_ += static_cast<size_t>(count);
  return taken;
}

uint64_t Pickle::number(int bytes) {
  const std::string_view taken = take(static_cast<uint64_t>(bytes));
  uint64_t value = 0;
  for (int i = bytes; i-- > 0;)
    value = value << 8 | static_cast<unsigned char>(taken[static_cast<size_t>(i)]);
  return value;
}

std::string_view Pickle::line() {
  const size_t end = bytes_.substr(at_, kLongestLine).find('\n');
  if (end == std::string_view::npos) refuse("found no end of a name within ", kLongestLine);
  const std::string_view text = take(end);
  take(1);
  return text;
}

void Pickle::step(unsigned char opcode) {
  if (step_value(opcode) || step_container(opcode) || step_memo(opcode) || step_object(opcode))
    return;
  switch (opcode) {
    case kProto: {
      const uint64_t protocol = number(1);
      if (protocol < 2 || protocol > 4)
        refuse("found pickle protocol ", protocol, "; expected 2, 3 or 4: save it again with one");
      return;
    }
    case kFrame: {
      const uint64_t length = number(8);
      if (length > bytes_.size() - at_)
        refuse("found a frame of ", length, " bytes with ", bytes_.size() - at_,
               " left (is the file cut short?)");
      return;
    }
    case kStop:
      root_ = pop();
      if (!stack_.empty() || !marks_.empty()) refuse("found values left over at the pickle's end");
      stopped_ = true;
      return;
    default:
      refuse(fmt::format("found opcode 0x{:02x}", opcode),
             "; expected plain values and numpy arrays, as in a batch of CIFAR-10");
  }
}

bool Pickle::step_value(unsigned char opcode) {
  switch (opcode) {
    case kNone:
      push({});
      return true;
    case kNewTrue:
    case kNewFalse:
      push({Kind::boolean, opcode == kNewTrue, {}, {}});
      return true;
    case kBinInt:
      push_integer(sign_extended(number(4), 4));
      return true;
    case kBinInt1:
      push_integer(static_cast<int64_t>(number(1)));
      return true;
    case kBinInt2:
      push_integer(static_cast<int64_t>(number(2)));
      return true;
    case kLong1: {
      const uint64_t length = number(1);
      if (length > 8) refuse("found an integer of ", length, " bytes; expected at most 8");
      push_integer(sign_extended(number(static_cast<int>(length)), static_cast<int>(length)));
      return true;
    }
    case kShortBinString:
    case kShortBinBytes:
    case kShortBinUnicode:
      push_text(number(1));
      return true;
    case kBinString:
    case kBinBytes:
    case kBinUnicode:
      push_text(number(4));
      return true;
    case kBinBytes8:
    case kBinUnicode8:
      push_text(number(8));
      return true;
    default:
      return false;
  }
}

bool Pickle::step_container(unsigned char opcode) {
  switch (opcode) {
    case kMark:
      marks_.push_back(stack_.size());
      return true;
    case kEmptyDict:
      push({Kind::dict, 0, {}, {}});
      return true;
    case kEmptyList:
      push({Kind::list, 0, {}, {}});
      return true;
    case kEmptyTuple:
      push_tuple(0);
      return true;
    case kTuple1:
    case kTuple2:
    case kTuple3:
      push_tuple(static_cast<size_t>(opcode - kTuple1 + 1));
      return true;
    case kTuple:
      push({Kind::tuple, 0, {}, pop_to_mark()});
      return true;
    case kAppend:
      extend(Kind::list, {pop()});
      return true;
    case kAppends:
      extend(Kind::list, pop_to_mark());
      return true;
    case kSetItem: {
      const Id value = pop(), key = pop();
      extend(Kind::dict, {key, value});
      return true;
    }
    case kSetItems:
      extend(Kind::dict, pop_to_mark());
      return true;
    default:
      return false;
  }
}

bool Pickle::step_memo(unsigned char opcode) {
  switch (opcode) {
    case kBinPut:
    case kLongBinPut:
      remember(number(opcode == kBinPut ? 1 : 4));
      return true;
    case kMemoize:
      remember(memo_.size());
      return true;
    case kBinGet:
    case kLongBinGet: {
      const uint64_t key = number(opcode == kBinGet ? 1 : 4);
      const auto found = memo_.find(key);
      if (found == memo_.end()) refuse("found a use of memo ", key, ", which nothing was put into");
      push_id(found->second);
      return true;
    }
    default:
      return false;
  }
}

bool Pickle::step_object(unsigned char opcode) {
  switch (opcode) {
    case kGlobal: {
      const std::string_view module = line();
      push_global(module, line());
      return true;
    }
    case kStackGlobal: {
      const Value& name = values_[pop()];
      const Value& module = values_[pop()];
      if (name.kind != Kind::text || module.kind != Kind::text)
        refuse("found a name that is no text");
      push_global(module.text, name.text);
      return true;
    }
    case kReduce:
      reduce();
      return true;
    case kBuild:
      build();
      return true;
    default:
      return false;
  }
}

void Pickle::push_id(Id id) { stack_.push_back(id); }

Pickle::Id Pickle::push(Value value) {
  const auto id = static_cast<Id>(values_.size());
  values_.push_back(std::move(value));
  push_id(id);
  return id;
}

Pickle::Id Pickle::top() const {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) refuse("found too few values before");
  return stack_.back();
}

Pickle::Id Pickle::pop() {
  const Id id = top();
  stack_.pop_back();
  return id;
}

std::vector<Pickle::Id> Pickle::pop_to_mark() {
  if (marks_.empty()) refuse("found no mark before");
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<Id> items(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return items;
}

void Pickle::push_text(uint64_t length) { push({Kind::text, 0, take(length), {}}); }

void Pickle::push_integer(int64_t value) { push({Kind::integer, value, {}, {}}); }

void Pickle::push_tuple(size_t count) {
  std::vector<Id> items(count);
  for (size_t i = count; i-- > 0;) items[i] = pop();
  push({Kind::tuple, 0, {}, std::move(items)});
}

void Pickle::push_global(std::string_view module, std::string_view name) {
  for (const GlobalName& known : kGlobals) {
    if (known.module != module || known.name != name) continue;
    push({Kind::global, static_cast<int64_t>(known.global), {}, {}});
    return;
  }
  refuse("found the name ", escaped(module), ".", escaped(name),
         "; expected those of numpy arrays only (nothing of a pickle is ever executed)");
}

void Pickle::remember(uint64_t key) { memo_[key] = top(); }

void Pickle::extend(Kind kind, const std::vector<Id>& items) {
  Value& target = values_[top()];
  if (target.kind != kind) refuse("found items for something that is no list or dict");
  if (kind == Kind::dict && items.size() % 2 != 0) refuse("found a key without a value");
  target.items.insert(target.items.end(), items.begin(), items.end());
}

void Pickle::reduce() {
  const Id arguments = pop(), callable = pop();
  if (values_[callable].kind != Kind::global || values_[arguments].kind != Kind::tuple)
    refuse("found an object of something that is no name and arguments");
  push({Kind::object, 0, {}, {callable, arguments}});
}

void Pickle::build() {
  const Id state = pop();
  Value& target = values_[top()];
  if (target.kind != Kind::object || target.items.size() != 2)
    refuse("found a state for something that is no new object");
  target.items.push_back(state);
}

}  // namespace enas
