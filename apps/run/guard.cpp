// See guard.h.
#include "apps/run/guard.h"

#include <fcntl.h>
#include <unistd.h>

#include <exception>
#include <iostream>
#include <new>

#include "apps/run/version.h"
#include "tensor/check.h"

namespace enas {
namespace {

int report_bug(std::string_view program, const char* what) {
  std::cerr << program << ": internal error: " << what << "\n"
            << "this is a bug in " << program << " " << kVersion
            << "; please report it with the command line and log.txt\n";
  return static_cast<int>(ErrorKind::internal);
}

// "enas_ptb search: ..." says the program's name once more than a reader needs.
std::string_view without_program(std::string_view text, std::string_view program) {
  if (text.substr(0, program.size()) != program) return text;
  for (const std::string_view separator : {": ", " "}) {
    if (text.substr(program.size(), separator.size()) == separator)
      return text.substr(program.size() + separator.size());
  }
  return text;
}

// Where a standard stream is closed, the next file to be opened would take its number, and with it
// what is printed. One that cannot be written holds the place.
void hold_standard_streams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
    if (::fcntl(fd, F_GETFD) < 0) ::open("/dev/null", O_RDONLY);
}

}  // namespace

int run_guarded(std::string_view program, const std::function<int()>& body) {
  hold_standard_streams();
  try {
    return body();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::internal) return report_bug(program, error.what());
    std::cerr << program << ": error: " << without_program(error.what(), program) << "\n";
    return error.exit_code();
  } catch (const std::bad_alloc&) {
    std::cerr << program << ": error: out of memory; try a smaller --batch or a smaller network\n";
    return static_cast<int>(ErrorKind::memory);
  } catch (const std::exception& error) {
    return report_bug(program, error.what());
  } catch (...) {
    return report_bug(program, "an unknown exception");
  }
}

}  // namespace enas
