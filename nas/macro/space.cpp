#include "nas/macro/space.h"

#include "nas/architecture_text.h"

namespace enas {
namespace {

constexpr const char* kConcatPrefix = "concat:";

size_t integers_of(int layers) {
  return static_cast<size_t>(layers) * static_cast<size_t>(layers + 1) / 2;
}

// What integer number `at` means: layer, and skip candidate or -1 for the operation.
struct Place {
  int layer = 0, candidate = -1;
  void next() {
    if (++candidate == layer) {
      ++layer;
      candidate = -1;
    }
  }
  int most() const { return candidate < 0 ? kMacroOps - 1 : 1; }
};

std::string name_of_source(int source) {
  return source == MacroSpace::kStem ? "stem" : std::to_string(source + 1);
}

std::string meaning(const Place& place, bool concat) {
  const std::string layer = " of layer " + std::to_string(place.layer + 1);
  if (place.candidate < 0) return "operation" + layer;
  const int source = MacroArch::source(place.candidate, concat);
  return "skip from " + name_of_source(source) + layer;
}

}  // namespace

const char* name_of(MacroOp op) {
  switch (op) {
    case MacroOp::conv3:
      return "3x3 convolution";
    case MacroOp::sep3:
      return "3x3 separable convolution";
    case MacroOp::conv5:
      return "5x5 convolution";
    case MacroOp::sep5:
      return "5x5 separable convolution";
    case MacroOp::avg_pool:
      return "3x3 average pool";
    case MacroOp::max_pool:
      return "3x3 max pool";
  }
  return "";
}

MacroSpace::MacroSpace(int layers, const MacroSpaceOptions& options)
    : layers_(layers), options_(options) {
  check(layers >= 1 && layers <= kMostLayers, ErrorKind::usage, "macro space",
        "layers must be 1 to ", kMostLayers, ", got ", layers);
}

DecisionList MacroSpace::decisions(const PolicyShape& shape) const {
  DecisionList list;
  list.op_matrix = true;
  // Candidates are the first anchors: the stem's zero one and layers 0, 1, ..; or layers alone.
  list.zero_anchors = options_.concat_input || options_.anchor_shift ? 0 : 1;
  Decision op;
  op.kind = Decision::Kind::op;
  op.count = kMacroOps;
  op.temperature = shape.temperature;
  op.tanh_constant = shape.tanh_constant;
  for (int layer = 0; layer < layers_; ++layer) {
    op.input = layer < 2 ? Decision::From::start : Decision::From::skips;
    list.steps.push_back(op);
    Decision skips = op;
    skips.kind = layer == 0 ? Decision::Kind::advance : Decision::Kind::skips;
    skips.count = layer;
    skips.input = Decision::From::embedding;
    skips.leaves_anchor = true;
    list.steps.push_back(skips);
  }
  return list;
}

Architecture MacroSpace::parse(const std::string& text) const {
  const ArchitectureTokens tokens = tokens_of(text, kConcatPrefix);
  check(tokens.prefixed == concat_input(), ErrorKind::usage, "architecture",
        concat_input() ? "--parity concat-input takes texts with the prefix '"
                       : "found a first token '",
        kConcatPrefix,
        concat_input() ? "'; the skips of one without it mean other layers"
                       : "', which needs --parity concat-input");
  const size_t want = integers_of(layers_);
  Architecture arch;
  Place place;
  for (size_t i = 0; i < tokens.words.size(); ++i, place.next()) {
    check(i < want, ErrorKind::usage, "architecture", "token ", i + 1, " '", tokens.words[i],
          "' is too many: ", layers_, " layers take ", want, " integers, found ",
          tokens.words.size());
    arch.choices.push_back(
        parse_token(tokens.words[i], i + 1, meaning(place, concat_input()), place.most()));
  }
  check(tokens.words.size() == want, ErrorKind::usage, "architecture", "found ",
        tokens.words.size(), " integers, expected ", want, " (operation and skips of each of ",
        layers_, " layers); see --layers");
  return arch;
}

std::string MacroSpace::to_string(const Architecture& arch) const {
  std::string text = concat_input() ? kConcatPrefix : "";
  for (const int32_t choice : arch.choices) {
    text += (text.empty() ? "" : " ") + std::to_string(choice);
  }
  return text;
}

MacroArch MacroSpace::decode(const Architecture& arch) const {
  const size_t want = integers_of(layers_);
  check(arch.choices.size() == want, ErrorKind::usage, "architecture", "has ", arch.choices.size(),
        " integers, expected ", want);
  MacroArch decoded;
  Place place;
  for (const int32_t choice : arch.choices) {
    check(choice >= 0 && choice <= place.most(), ErrorKind::usage, "architecture", choice,
          " cannot be the ", meaning(place, concat_input()));
    if (place.candidate < 0) {
      decoded.layers.push_back({static_cast<MacroOp>(choice), {}});
    } else {
      decoded.layers.back().skips.push_back(choice == 1);
    }
    place.next();
  }
  return decoded;
}

std::string MacroSpace::to_words(const Architecture& arch) const {
  const MacroArch decoded = decode(arch);
  std::string text;
  for (size_t i = 0; i < decoded.layers.size(); ++i) {
    const MacroArch::Layer& layer = decoded.layers[i];
    text += (i ? "; " : "") + std::to_string(i + 1) + ": " + name_of(layer.op);
    const char* before = concat_input() ? " of " : ", skips from ";
    for (size_t k = 0; k < layer.skips.size(); ++k) {
      if (!layer.skips[k]) continue;
      text += before + name_of_source(MacroArch::source(static_cast<int>(k), concat_input()));
      before = ", ";
    }
  }
  return text;
}

std::string MacroSpace::count() const {
  return Decimal().multiply(kMacroOps, layers_).multiply(2, layers_ * (layers_ - 1) / 2).text();
}

const char* MacroSpace::published() {
  return "0 3 0 0 1 0 2 0 0 1 2 0 0 0 0 3 1 1 0 1 0 2 0 0 0 0 0 1 2 0 1 1 0 1 1 1 "
         "1 0 1 1 1 0 1 0 1 0 0 0 0 0 0 0 0 0 0 2 0 0 0 0 0 1 0 0 0 0 "
         "0 1 0 0 1 1 0 0 0 0 1 1 2 0 1 0 0 0 0 0 1 0 1 1 0 "
         "1 0 0 1 0 0 0 1 1 1 0 1 0 1 0 1 1 0 1 0 1 0 0 0 0 0 1 0 0 "
         "2 0 0 1 0 0 0 0 0 0 0 1 0 1 0 1 2 0 1 0 0 0 1 0 0 1 1 1 1 0 0 1 0 "
         "2 0 0 0 0 1 0 1 0 1 0 0 1 0 1 0 0 1 3 0 1 1 0 1 0 0 0 0 0 1 0 1 0 1 0 0 0 "
         "3 0 1 1 0 0 0 0 0 0 0 0 0 1 1 0 0 0 0 1 0 1 0 0 1 0 1 1 0 0 0 1 0 0 0 0 0 1 1 0 0 "
         "3 0 1 0 1 1 0 0 1 0 1 1 0 1 1 0 1 0 0 1 0 0 "
         "0 1 0 1 0 1 0 0 0 0 0 0 0 0 1 0 1 0 0 1 0 0 0 "
         "0 1 1 0 0 0 1 1 1 0 1 0 0 0 1 0 1 0 0 1 1 0 0 0";
}

MacroSpace macro_space_of(const std::string& text) {
  const ArchitectureTokens tokens = tokens_of(text, kConcatPrefix);
  for (int layers = 1; layers <= MacroSpace::kMostLayers; ++layers) {
    if (tokens.words.size() == integers_of(layers)) return MacroSpace(layers, {tokens.prefixed});
  }
  fail(ErrorKind::usage, "architecture", "found ", tokens.words.size(),
       " integers, expected operation and skips of each layer: 1, 3, 6, 10, ... L (L + 1) / 2");
}

}  // namespace enas
