#include "nas/architecture_text.h"

#include <charconv>
#include <sstream>

#include "tensor/check.h"

namespace enas {

ArchitectureTokens tokens_of(const std::string& text, const std::string& prefix) {
  std::istringstream in(text);
  ArchitectureTokens tokens;
  for (std::string word; in >> word;) {
    if (tokens.words.empty() && !tokens.prefixed && word.rfind(prefix, 0) == 0) {
      tokens.prefixed = true;
      word.erase(0, prefix.size());
      if (word.empty()) continue;
    }
    tokens.words.push_back(word);
  }
  return tokens;
}

int32_t parse_token(const std::string& word, size_t number, const std::string& what, int most) {
  int32_t value = -1;
  const char *begin = word.data(), *end = begin + word.size();
  const auto [stop, error] = std::from_chars(begin, end, value);
  check(error == std::errc{} && stop == end && value >= 0 && value <= most, ErrorKind::usage,
        "architecture", "token ", number, " '", word, "' (", what, ") must be an integer 0 to ",
        most);
  return value;
}

Decimal& Decimal::multiply(int factor, int times) {
  for (int i = 0; i < times; ++i) {
    int carry = 0;
    for (char& digit : digits_) {
      carry += (digit - '0') * factor;
      digit = static_cast<char>('0' + carry % 10);
      carry /= 10;
    }
    for (; carry > 0; carry /= 10) digits_.push_back(static_cast<char>('0' + carry % 10));
  }
  return *this;
}

}  // namespace enas
