// Errors. Everything that can go wrong throws one type, Error{kind, text}; the kind is the exit
// code of the program (docs/interface.md). Text: the op or file first, lower case, what was
// found and what was expected.
#pragma once
#include <exception>
#include <sstream>
#include <string>
#include <string_view>

namespace enas {

enum class ErrorKind {
  usage = 2,       // option, configuration or architecture text
  data = 3,        // data missing or invalid
  checkpoint = 4,  // checkpoint or weights invalid or incompatible
  memory = 5,      // out of memory
  diverged = 6,    // NaN or Inf under the policy `stop`
  device = 7,      // device or build lacks a feature
  write = 8,       // cannot write
  internal = 9,    // a bug: shapes that do not fit, a broken invariant
};

class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string text) : kind_(kind), text_(std::move(text)) {}
  ErrorKind kind() const { return kind_; }
  int exit_code() const { return static_cast<int>(kind_); }
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  ErrorKind kind_;
  std::string text_;
};

// Throws Error{kind, "where: parts..."}; parts are anything an ostream takes.
template <class... Parts>
[[noreturn]] __attribute__((noinline, cold)) void fail(ErrorKind kind, std::string_view where,
                                                       const Parts&... parts) {
  std::ostringstream text;
  text << where << ": ";
  (text << ... << parts);
  throw Error(kind, text.str());
}

// Refuses with kind `internal` unless ok: for conditions that only a wrong program can break.
template <class... Parts>
void check(bool ok, std::string_view op, const Parts&... parts) {
  if (!ok) [[unlikely]]
    fail(ErrorKind::internal, op, parts...);
}

template <class... Parts>
void check(bool ok, ErrorKind kind, std::string_view where, const Parts&... parts) {
  if (!ok) [[unlikely]]
    fail(kind, where, parts...);
}

}  // namespace enas
