// Target: architecture text. First byte: a number of nodes and whether the first activation is
// searched; the rest is a text for that space and for the smallest one that it belongs to. What is
// parsed decodes, prints, and parses back equal.
#include "nas/rnn/space.h"
#include "tests/fuzz/fuzz.h"

namespace enas {
namespace {

void check_space(const RnnSpace& space, const std::string& text) {
  Architecture arch;
  if (!accepts(ErrorKind::usage, [&] { arch = space.parse(text); })) return;
  const std::string printed = space.to_string(arch);
  require(space.parse(printed) == arch, "parse(to_string(x)) == x");
  require(space.to_string(space.parse(printed)) == printed, "printing is stable");
  const RnnCell cell = space.decode(arch);
  require(static_cast<int>(cell.nodes.size()) == space.nodes(), "a choice for each node");
  require(!cell.loose_ends.empty() && cell.loose_ends.back() == space.nodes(),
          "the last node is a loose end");
  require(!space.to_words(arch).empty(), "an architecture has words");
}

}  // namespace
}  // namespace enas

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enas;
  FuzzInput input(data, size);
  const unsigned first = input.byte();
  const std::string text(input.rest());
  check_space(RnnSpace(static_cast<int>(first % RnnSpace::kMostNodes) + 1, first >= 128), text);
  RnnSpace own(1);
  if (accepts(ErrorKind::usage, [&] { own = rnn_space_of(text); })) check_space(own, text);
  return 0;
}
