// See svg_text.h.
#include "apps/run/svg_text.h"

#include <cmath>
#include <cstdio>
#include <vector>

#include "apps/run/json_text.h"

namespace enas {
namespace {

struct Piece {
  std::string text;
  bool subscript;
};

// "h_{t-1}" -> "h", subscript "t-1".
std::vector<Piece> pieces(const std::string& label) {
  std::vector<Piece> found;
  std::string plain;
  for (std::size_t i = 0; i < label.size(); ++i) {
    if (label[i] != '_' || i + 1 == label.size()) {
      plain += label[i];
      continue;
    }
    const std::size_t close = label[i + 1] == '{' ? label.find('}', i) : std::string::npos;
    const bool braces = close != std::string::npos;
    found.push_back({plain, false});
    plain.clear();
    found.push_back({braces ? label.substr(i + 2, close - i - 2) : label.substr(i + 1, 1), true});
    i = braces ? close : i + 1;
  }
  found.push_back({plain, false});
  return found;
}

}  // namespace

std::string svg_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", std::round(value * 10) / 10 + 0.0);
  std::string trimmed = text;
  if (trimmed.size() > 2 && trimmed.substr(trimmed.size() - 2) == ".0") {
    trimmed.resize(trimmed.size() - 2);
  }
  return trimmed == "-0" ? "0" : trimmed;
}

std::string svg_escape(std::string_view text) {
  std::string escaped;
  for (const char c : valid_utf8(text)) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return escaped;
}

std::string svg_label(const std::string& label) {
  std::string text;
  for (const Piece& piece : pieces(label)) {
    if (piece.text.empty()) continue;
    if (piece.subscript) {
      text += "<tspan dy=\"4\" font-size=\"11\">" + svg_escape(piece.text) +
              "</tspan><tspan dy=\"-4\">&#8203;</tspan>";
    } else {
      text += svg_escape(piece.text);
    }
  }
  return text;
}

double text_width(const std::string& label, double font_size) {
  double ems = 0;
  for (const Piece& piece : pieces(label)) {
    for (const char c : piece.text) {
      if ((static_cast<unsigned char>(c) & 0xC0u) == 0x80u) continue;
      const bool narrow = std::string_view("iljt .,:()|").find(c) != std::string_view::npos;
      const bool wide = std::string_view("mwMW=+").find(c) != std::string_view::npos;
      ems += (narrow ? 0.38 : wide ? 0.92 : 0.64) * (piece.subscript ? 0.74 : 1);
    }
  }
  return ems * font_size;
}

}  // namespace enas
