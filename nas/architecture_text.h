// What the text forms of the spaces share: integers between white space, behind an optional prefix,
// and counts too large for a machine integer. Form: docs/interface.md "Architecture text".
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace enas {

struct ArchitectureTokens {
  bool prefixed = false;  // the prefix was there
  std::vector<std::string> words;
};
// The words of a text; `prefix` may stand before the first, with or without a space.
ArchitectureTokens tokens_of(const std::string& text, const std::string& prefix = "");

// An integer 0 to most; `number` counts from 1. Refuses (usage) anything else, naming the token.
int32_t parse_token(const std::string& word, size_t number, const std::string& what, int most);

// A whole number of any size, started at 1.
class Decimal {
 public:
  Decimal& multiply(int factor, int times = 1);
  std::string text() const { return {digits_.rbegin(), digits_.rend()}; }

 private:
  std::string digits_ = "1";  // least significant digit first
};

}  // namespace enas
