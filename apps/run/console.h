// What a person sees. The Console owns standard output, standard error and log.txt: log.txt gets
// every line without control codes, the terminal gets a rewritten progress line, anything else gets
// plain lines. Text is cleaned of control characters first, so that no data can drive a terminal.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/file.h"

namespace enas {

struct ConsoleOptions {
  bool quiet = false;  // only results and warnings; log.txt still gets all
  bool json = false;   // --json-log: one object a line instead of text
  int output = 1;      // file descriptors
  int errors = 2;
  // For tests; else found: isatty and TERM; width of the terminal; NO_COLOR; a steady clock in
  // seconds.
  std::optional<bool> terminal = {};
  std::optional<int> columns = {};
  std::optional<bool> color = {};
  std::function<double()> now = {};
};

class Console {
 public:
  explicit Console(ConsoleOptions options = {}, FileSystem& files = real_files());
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;
  ~Console();  // leaves the terminal on a fresh line

  // From now on lines go to this log.txt too, those printed before first. A log that cannot be
  // written costs one warning, not the run.
  void log_to(const std::string& path);
  void line(std::string_view text);
  // Printed under --quiet too. Where nothing keeps a log, a result that cannot be printed is lost:
  // kind write, but not for a reader that went away.
  void result(std::string_view text);
  void record(std::string_view text);    // log.txt only: what another part prints
  void warn(std::string_view text);      // standard error
  void progress(std::string_view text);  // terminal only; at most 10 times a second
  // Every --log-every steps: progress line or plain line, and log.txt.
  void milestone(std::string_view text);
  void object(std::string_view json);  // a metrics line; printed under --json-log only

  bool terminal() const { return terminal_; }
  int columns() const;
  double now() const { return options_.now(); }

 private:
  bool print(int fd, std::string_view text);  // false: not all of it, for the reason in errno
  bool emit(std::string_view level, const std::string& text, bool shown);
  void rewrite(const std::string& text);
  void clear_progress();
  void log(const std::string& text);

  ConsoleOptions options_;
  FileSystem* files_;
  bool terminal_ = false;
  bool color_ = false;
  bool progress_shown_ = false;
  double last_progress_ = -1e9;  // seconds
  std::string early_;            // lines before log_to
  std::unique_ptr<AppendFile> log_;
  bool log_failed_ = false;
};

// Without escape sequences and control characters but for newlines; a tab becomes a blank.
std::string without_control_codes(std::string_view text);
std::string format_seconds(double seconds);                 // "45s", "3m20s", "2h05m", "3d04h"
std::string format_count(double count);                     // "5,712"
std::string counted(int64_t count, std::string_view what);  // "1 epoch", "6 epochs"
std::vector<std::string> right_aligned(std::vector<std::string> column);
// An architecture's words ("1: relu of node 0; 2: ...", "normal cell: 2: ...") on several lines.
std::string one_a_line(std::string words);

}  // namespace enas
