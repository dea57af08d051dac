// See console.h.
#include "apps/run/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "apps/run/json_text.h"
#include "tensor/check.h"

namespace enas {
namespace {

constexpr double kProgressInterval = 0.1;  // seconds
constexpr int kDefaultColumns = 80;
constexpr const char* kClearLine = "\r\x1b[K";
constexpr const char* kYellow = "\x1b[33m";
constexpr const char* kPlain = "\x1b[0m";

bool is_terminal(int fd) {
  const char* term = std::getenv("TERM");
  return isatty(fd) == 1 && term != nullptr && std::string_view(term) != "dumb";
}

bool color_wanted() {
  const char* no_color = std::getenv("NO_COLOR");
  return no_color == nullptr || *no_color == '\0';
}

double steady_seconds() {
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; }

// At most `columns` characters of the first line.
std::string cut(const std::string& text, int columns) {
  int seen = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' || (begins_character(text[i]) && seen++ == columns)) {
      return text.substr(0, i);
    }
  }
  return text;
}

}  // namespace

Console::Console(ConsoleOptions options, FileSystem& files)
    : options_(std::move(options)), files_(&files) {
  if (!options_.now) options_.now = steady_seconds;
  terminal_ = options_.terminal.value_or(is_terminal(options_.output)) && !options_.json;
  color_ = terminal_ && options_.color.value_or(color_wanted());
}

Console::~Console() {
  if (progress_shown_) print(options_.output, "\n");
}

int Console::columns() const {
  if (options_.columns) return *options_.columns;
  winsize size = {};
  if (ioctl(options_.output, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return kDefaultColumns;
}

// A reader that went away (EPIPE) or a full disk under a redirection must not end the run: log.txt
// has it all.
bool Console::print(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = files_->write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

void Console::log(const std::string& text) {
  if (!log_) {
    early_ += text + "\n";
    return;
  }
  try {
    log_->append(text + "\n");
  } catch (const Error& error) {
    if (log_failed_) return;
    log_failed_ = true;
    print(options_.errors, std::string("warning: ") + error.what() + "; the run goes on\n");
  }
}

void Console::log_to(const std::string& path) {
  log_ = std::make_unique<AppendFile>(path, *files_);
  if (early_.empty()) return;
  std::string early;
  early.swap(early_);
  early.pop_back();  // log() ends the line
  log(early);
}

void Console::clear_progress() {
  if (progress_shown_) print(options_.output, kClearLine);
  progress_shown_ = false;
}

bool Console::emit(std::string_view level, const std::string& text, bool shown) {
  log(text);
  if (!shown) return true;
  clear_progress();
  const std::string line =
      options_.json ? JsonLine().add("level", level).add("text", text).text() : text;
  return print(options_.output, line + "\n");
}

void Console::line(std::string_view text) {
  emit("info", without_control_codes(text), !options_.quiet);
}

void Console::result(std::string_view text) {
  const bool printed = emit("result", without_control_codes(text), true);
  check(printed || log_ || errno == EPIPE, ErrorKind::write, "standard output",
        "cannot write the result: ", std::strerror(errno));
}

void Console::record(std::string_view text) { log(without_control_codes(text)); }

void Console::warn(std::string_view text) {
  const std::string message = "warning: " + without_control_codes(text);
  log(message);
  clear_progress();
  print(options_.errors, color_ ? kYellow + message + kPlain + "\n" : message + "\n");
}

void Console::rewrite(const std::string& text) {
  print(options_.output, kClearLine + cut(text, columns() - 1));
  progress_shown_ = true;
  last_progress_ = now();
}

void Console::progress(std::string_view text) {
  if (!terminal_ || options_.quiet || now() - last_progress_ < kProgressInterval) return;
  rewrite(without_control_codes(text));
}

void Console::milestone(std::string_view text) {
  const std::string clean = without_control_codes(text);
  if (!terminal_) {
    emit("progress", clean, !options_.quiet);
    return;
  }
  log(clean);
  if (!options_.quiet) rewrite(clean);
}

void Console::object(std::string_view json) {
  if (options_.json) print(options_.output, std::string(json) + "\n");
}

std::string without_control_codes(std::string_view text) {
  std::string clean;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == 0x1b) {  // ESC [ parameters final, or ESC and one character
      const bool sequence = i + 1 < text.size() && text[i + 1] == '[';
      ++i;
      while (sequence && ++i < text.size() && (text[i] < '@' || text[i] > '~')) {
      }
    } else if (byte == '\n' || (byte >= 0x20 && byte != 0x7f)) {
      clean += text[i];
    } else if (byte == '\t') {
      clean += ' ';
    }
  }
  return clean;
}

std::string format_seconds(double seconds) {
  constexpr double kLongest = 999.0 * 86400;
  const auto total = static_cast<long>(std::lround(std::clamp(seconds, 0.0, kLongest)));
  const auto two = [](long value, char unit) {
    return (value < 10 ? "0" : "") + std::to_string(value) + unit;
  };
  if (total < 60) return std::to_string(total) + "s";
  if (total < 3600) return std::to_string(total / 60) + "m" + two(total % 60, 's');
  if (total < 86400) return std::to_string(total / 3600) + "h" + two(total / 60 % 60, 'm');
  return std::to_string(total / 86400) + "d" + two(total / 3600 % 24, 'h');
}

std::string format_count(double count) {
  std::string text = std::to_string(static_cast<long long>(std::llround(count)));
  const std::size_t first = text[0] == '-' ? 1 : 0;
  for (std::size_t i = text.size(); i > first + 3;) {
    i -= 3;
    text.insert(i, ",");
  }
  return text;
}

std::string counted(int64_t count, std::string_view what) {
  return format_count(static_cast<double>(count)) + " " + std::string(what) +
         (count == 1 ? "" : "s");
}

std::vector<std::string> right_aligned(std::vector<std::string> column) {
  std::size_t width = 0;
  for (const std::string& text : column) width = std::max(width, text.size());
  for (std::string& text : column) text.insert(0, width - text.size(), ' ');
  return column;
}

std::string one_a_line(std::string words) {
  const auto replace = [&](std::string_view from, std::string_view to) {
    for (size_t at = 0; (at = words.find(from, at)) != std::string::npos; at += to.size())
      words.replace(at, from.size(), to);
  };
  replace("; ", "\n");
  replace("cell: ", "cell\n");
  return words;
}

}  // namespace enas
