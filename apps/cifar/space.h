// Both convolutional spaces as one type, for what the app does alike with either: texts, words,
// counts, drawings.
#pragma once
#include <string>
#include <utility>
#include <variant>

#include "apps/run/draw.h"
#include "nas/macro/space.h"
#include "nas/micro/space.h"

namespace enas {

using ImageSpace = std::variant<MacroSpace, MicroSpace>;

inline std::string text_of(const ImageSpace& space, const Architecture& arch) {
  return std::visit([&](const auto& s) { return s.to_string(arch); }, space);
}
inline Architecture parse(const ImageSpace& space, const std::string& text) {
  return std::visit([&](const auto& s) { return s.parse(text); }, space);
}
inline std::string words_of(const ImageSpace& space, const Architecture& arch) {
  return std::visit([&](const auto& s) { return s.to_words(arch); }, space);
}
inline DecisionList decisions_of(const ImageSpace& space, const PolicyShape& shape) {
  return std::visit([&](const auto& s) { return s.decisions(shape); }, space);
}
inline int operations_of(const ImageSpace& space) {
  return std::visit([](const auto& s) { return s.operations(); }, space);
}
inline std::string count_of(const ImageSpace& space) {
  return std::visit([](const auto& s) { return s.count(); }, space);
}
inline bool is_macro(const ImageSpace& space) { return std::holds_alternative<MacroSpace>(space); }
inline const char* space_name(const ImageSpace& space) {
  return is_macro(space) ? "macro" : "micro";
}
// "12 layers", "5 nodes a cell".
std::string size_of(const ImageSpace& space);

// The text that --arch names: a file, the text itself, or `published`; the space checks it.
std::string image_arch_text(const std::string& argument, bool macro);
// A text's space. Refuses (kind usage) a prefix that --parity concat-input does not ask for, and
// the reverse.
ImageSpace image_space_of(const std::string& text, bool macro, bool concat_input);

// A macro network as one graph; a micro architecture as its two cells.
Drawing draw_image_arch(const ImageSpace& space, const Architecture& arch);
// {"arch", "space", "layers"|"nodes", ..., "words"}: the decoded choices.
std::string image_arch_json(const ImageSpace& space, const Architecture& arch);

}  // namespace enas
