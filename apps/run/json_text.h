// Flat JSON objects written in the order in which their keys are added: lines of metrics.jsonl and
// of --json-log.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace enas {

// Bytes that are not UTF-8 become U+FFFD.
std::string valid_utf8(std::string_view text);
// Quoted and escaped; bytes that are not UTF-8 become U+FFFD.
std::string json_string(std::string_view text);

// Numbers are the shortest text that reads back to the same value (of its own type); NaN and
// infinities are null.
class JsonLine {
 public:
  JsonLine& add(std::string_view key, double value);
  JsonLine& add(std::string_view key, float value);
  JsonLine& add(std::string_view key, std::int64_t value);
  JsonLine& add(std::string_view key, int value) { return add(key, std::int64_t{value}); }
  JsonLine& add(std::string_view key, bool value);
  JsonLine& add(std::string_view key, std::string_view value);
  JsonLine& add(std::string_view key, const char* value) {
    return add(key, std::string_view(value));
  }
  std::string text() const { return "{" + body_ + "}"; }

 private:
  JsonLine& add_raw(std::string_view key, std::string_view value);
  std::string body_;
};

}  // namespace enas
