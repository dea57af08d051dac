// Target: a pickle. What is accepted is a graph whose references lead to values and whose strings
// lie in the file; it is then read as a batch of CIFAR-10.
#include "data/cifar10.h"
#include "data/pickle.h"
#include "tests/fuzz/fuzz.h"

namespace enas {
namespace {

// Every value that the root leads to, each once: lists may hold themselves.
void check_values(const Pickle& pickle, std::string_view bytes) {
  std::vector<const Pickle::Value*> open = {&pickle.root()};
  std::unordered_map<const Pickle::Value*, bool> seen;
  while (!open.empty()) {
    const Pickle::Value* value = open.back();
    open.pop_back();
    if (!seen.emplace(value, true).second) continue;
    const bool inside = value->text.data() >= bytes.data() &&
                        value->text.data() + value->text.size() <= bytes.data() + bytes.size();
    require(value->text.empty() || inside, "a string lies in the file");
    require(value->kind != Pickle::Kind::dict || value->items.size() % 2 == 0, "keys have values");
    require(
        value->kind != Pickle::Kind::object || value->items.size() == 2 || value->items.size() == 3,
        "an object has a name, arguments and perhaps a state");
    for (const Pickle::Id id : value->items) open.push_back(&pickle[id]);
  }
}

}  // namespace
}  // namespace enas

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enas;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  accepts(ErrorKind::data, [&] {
    const Pickle pickle(bytes, "input");
    check_values(pickle, bytes);
  });
  accepts(ErrorKind::data, [&] { parse_cifar10(bytes, "input"); });
  return 0;
}
