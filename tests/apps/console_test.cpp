// Console and Progress: what the terminal, a pipe and log.txt get.
#include "apps/run/console.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/run/progress.h"
#include "tests/temporary_folder.h"

namespace enas {
namespace {

// A console into files, with a clock that the test moves.
struct Fixture {
  explicit Fixture(bool terminal, bool quiet = false, bool json = false, bool color = false) {
    output = open((folder / "out").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    errors = open((folder / "err").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    console = std::make_unique<Console>(ConsoleOptions{.quiet = quiet,
                                                       .json = json,
                                                       .output = output,
                                                       .errors = errors,
                                                       .terminal = terminal,
                                                       .columns = 40,
                                                       .color = color,
                                                       .now = [this] { return time; }});
    console->log_to(folder / "log.txt");
  }
  ~Fixture() {
    console.reset();
    close(output);
    close(errors);
  }
  std::string out() const { return text_of(folder / "out"); }
  std::string err() const { return text_of(folder / "err"); }
  std::string log() const { return text_of(folder / "log.txt"); }

  TemporaryFolder folder;
  int output = -1;
  int errors = -1;
  double time = 0;
  std::unique_ptr<Console> console;
};

TEST(Console, PipeGetsPlainLines) {
  Fixture f(false);
  f.console->line("one");
  f.console->progress("never");
  f.console->milestone("step 50");
  f.console->object("{}");
  EXPECT_EQ(f.out(), "one\nstep 50\n");
  EXPECT_EQ(f.log(), "one\nstep 50\n");
}

TEST(Console, TerminalRewritesAtMostTenTimesASecond) {
  Fixture f(true);
  f.console->progress("a");
  f.time = 0.05;
  f.console->progress("b");
  f.time = 0.11;
  f.console->progress("c");
  f.console->milestone("m");
  f.console->line("done");
  EXPECT_EQ(f.out(), "\r\x1b[Ka\r\x1b[Kc\r\x1b[Km\r\x1b[Kdone\n");
  EXPECT_EQ(f.log(), "m\ndone\n");
}

TEST(Console, ProgressLineIsCutToTheWidth) {
  Fixture f(true);
  std::string wide;
  for (int i = 0; i < 60; ++i) wide += "\xc3\xa9";
  f.console->progress(wide);
  EXPECT_EQ(f.out(), "\r\x1b[K" + wide.substr(0, 2 * 39));
}

TEST(Console, QuietKeepsResultsAndTheLog) {
  Fixture f(false, true);
  f.console->line("info");
  f.console->milestone("step");
  f.console->warn("careful");
  f.console->result("42");
  EXPECT_EQ(f.out(), "42\n");
  EXPECT_EQ(f.err(), "warning: careful\n");
  EXPECT_EQ(f.log(), "info\nstep\nwarning: careful\n42\n");
}

TEST(Console, JsonLogIsOneObjectALine) {
  Fixture f(true, false, true);
  f.console->line("say \"x\"");
  f.console->progress("never");
  f.console->milestone("step");
  f.console->object("{\"loss\":1}");
  EXPECT_EQ(f.out(),
            "{\"level\":\"info\",\"text\":\"say \\\"x\\\"\"}\n"
            "{\"level\":\"progress\",\"text\":\"step\"}\n{\"loss\":1}\n");
  EXPECT_EQ(f.log(), "say \"x\"\nstep\n");
}

TEST(Console, ColorOnlyWhereWanted) {
  Fixture plain(true);
  plain.console->warn("x");
  EXPECT_EQ(plain.err(), "warning: x\n");
  Fixture colored(true, false, false, true);
  colored.console->warn("x");
  EXPECT_EQ(colored.err(), "\x1b[33mwarning: x\x1b[0m\n");
  EXPECT_EQ(colored.log(), "warning: x\n");
}

TEST(Console, DataCannotDriveTheTerminal) {
  Fixture f(true);
  f.console->line("a\x1b[2Jb\rc\x1b]d\td\x7f");
  EXPECT_EQ(f.out(), "abcd d\n");
  EXPECT_EQ(without_control_codes("x\x1b"), "x");
  EXPECT_EQ(without_control_codes("x\x1b[31"), "x");
}

TEST(Console, LinesBeforeTheLogGoThereToo) {
  Fixture f(false);
  Console console(ConsoleOptions{.output = f.output, .errors = f.errors, .terminal = false});
  console.line("first");
  console.line("second");
  console.log_to(f.folder / "late.txt");
  console.line("third");
  EXPECT_EQ(text_of(f.folder / "late.txt"), "first\nsecond\nthird\n");
}

// Appending to log.txt fails; standard output does not.
class FullDisk : public FileSystem {
 public:
  explicit FullDisk(int good_fd) : good_fd_(good_fd) {}
  ssize_t write(int fd, const void* bytes, std::size_t count) override {
    if (fd == good_fd_ || fd == 2) return FileSystem::write(fd, bytes, count);
    errno = ENOSPC;
    return -1;
  }

 private:
  int good_fd_;
};

TEST(Console, FullDiskCostsOneWarning) {
  Fixture f(false);
  FullDisk files(f.output);
  Console console(ConsoleOptions{.output = f.output, .errors = f.output, .terminal = false}, files);
  console.log_to(f.folder / "full.txt");
  console.line("one");
  console.line("two");
  const std::string text = f.out();
  EXPECT_NE(text.find("one\n"), std::string::npos);
  EXPECT_NE(text.find("two\n"), std::string::npos);
  EXPECT_EQ(text.find("warning"), text.rfind("warning"));
  EXPECT_NE(text.find("warning"), std::string::npos);
}

TEST(Progress, RateAndTimeLeft) {
  Fixture f(false);
  Progress progress(*f.console, "train", "tokens", 100000);
  EXPECT_EQ(progress.seconds_left(), -1);
  for (int i = 0; i < 20; ++i) {
    f.time += 0.5;
    progress.advance(500, "loss 4.2");
  }
  EXPECT_NEAR(progress.rate(), 1000, 1e-6);
  EXPECT_NEAR(progress.seconds_left(), 90, 1e-6);
  progress.milestone("loss 4.2");
  EXPECT_EQ(f.out(), "train  10%  1,000 tokens/s  ETA 1m30s  loss 4.2\n");
  for (int i = 0; i < 400; ++i) {  // the rate follows a change
    f.time += 0.5;
    progress.advance(100);
  }
  EXPECT_NEAR(progress.rate(), 200, 1);
}

TEST(Progress, GathersShortStepsAndUnknownTotals) {
  Fixture f(true);
  Progress progress(*f.console, "search", "steps", 0);
  for (int i = 0; i < 1000; ++i) {
    f.time += 0.001;
    progress.advance(1);
  }
  EXPECT_NEAR(progress.rate(), 1000, 50);
  EXPECT_EQ(progress.seconds_left(), -1);
  const std::string text = f.out();
  EXPECT_LE(std::count(text.begin(), text.end(), '\r'), 11);
}

TEST(Format, SecondsAndCounts) {
  EXPECT_EQ(format_seconds(45.4), "45s");
  EXPECT_EQ(format_seconds(200), "3m20s");
  EXPECT_EQ(format_seconds(7500), "2h05m");
  EXPECT_EQ(format_seconds(273600), "3d04h");
  EXPECT_EQ(format_seconds(-1), "0s");
  EXPECT_EQ(format_count(929589), "929,589");
  EXPECT_EQ(format_count(-1234), "-1,234");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(counted(1, "layer"), "1 layer");
  EXPECT_EQ(counted(1200, "layer"), "1,200 layers");
}

TEST(Format, AColumnIsRightAligned) {
  EXPECT_EQ(right_aligned({"5.00 %", "100.00 %"}),
            (std::vector<std::string>{"  5.00 %", "100.00 %"}));
  EXPECT_TRUE(right_aligned({}).empty());
}

}  // namespace
}  // namespace enas
