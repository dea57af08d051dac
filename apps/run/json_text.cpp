// See json_text.h; escapes as RFC 8259 section 7.
#include "apps/run/json_text.h"

#include <charconv>
#include <cmath>

namespace enas {
namespace {

template <class Number>
std::string number(Number value) {
  char buffer[32];
  return std::string(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
}

// Length of the well-formed UTF-8 sequence at `at` (RFC 3629 table), 0 if there is none.
std::size_t sequence_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
  };
  const unsigned first = byte(0);
  const std::size_t length = first < 0x80                    ? 1
                             : first >= 0xC2 && first < 0xE0 ? 2
                             : first >= 0xE0 && first < 0xF0 ? 3
                             : first >= 0xF0 && first < 0xF5 ? 4
                                                             : 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0u) != 0x80u) return 0;
  }
  const bool overlong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  const bool outside = (first == 0xED && byte(1) >= 0xA0) || (first == 0xF4 && byte(1) >= 0x90);
  return overlong || outside ? 0 : length;
}

}  // namespace

std::string valid_utf8(std::string_view text) {
  std::string valid;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = sequence_length(text, i);
    valid.append(length == 0 ? std::string_view("\xEF\xBF\xBD") : text.substr(i, length));
    i += length == 0 ? 1 : length;
  }
  return valid;
}

std::string json_string(std::string_view unchecked) {
  const std::string text = valid_utf8(unchecked);
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted.append("\\").append(1, c);
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (byte < 0x20) {
      quoted.append("\\u00").append(1, kHex[byte >> 4]).append(1, kHex[byte & 15]);
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

JsonLine& JsonLine::add_raw(std::string_view key, std::string_view value) {
  if (!body_.empty()) body_ += ',';
  body_.append(json_string(key)).append(":").append(value);
  return *this;
}

JsonLine& JsonLine::add(std::string_view key, double value) {
  return add_raw(key, std::isfinite(value) ? number(value) : "null");
}

JsonLine& JsonLine::add(std::string_view key, float value) {
  return add_raw(key, std::isfinite(value) ? number(value) : "null");
}

JsonLine& JsonLine::add(std::string_view key, std::int64_t value) {
  return add_raw(key, number(value));
}

JsonLine& JsonLine::add(std::string_view key, bool value) {
  return add_raw(key, value ? "true" : "false");
}

JsonLine& JsonLine::add(std::string_view key, std::string_view value) {
  return add_raw(key, json_string(value));
}

}  // namespace enas
