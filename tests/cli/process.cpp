#include "tests/cli/process.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

namespace enas {
namespace {

constexpr int kLongestSeconds = 120;

void redirect(const std::string& path, int to) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd < 0 || dup2(fd, to) < 0) _exit(127);
  close(fd);
}

void limit(int resource, unsigned long bytes) {
  if (bytes == 0) return;
  const rlimit value = {bytes, bytes};
  setrlimit(static_cast<__rlimit_resource>(resource), &value);
}

}  // namespace

Process::Process(const TemporaryFolder& folder, const Arguments& arguments, Limits limits,
                 const char* program)
    : out_(folder / "stdout"), err_(folder / "stderr") {
  std::vector<std::string> texts = {program};
  texts.insert(texts.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& text : texts) argv.push_back(text.data());
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ != 0) return;
  redirect(out_, 1);
  redirect(err_, 2);
  limit(RLIMIT_FSIZE, limits.file_bytes);
  limit(RLIMIT_AS, limits.memory_bytes);
  setenv("CUDA_VISIBLE_DEVICES", "", 1);
  execv(argv[0], argv.data());
  _exit(127);
}

Process::~Process() {
  if (ended_ || pid_ <= 0) return;
  kill(pid_, SIGKILL);
  reap(0);
}

void Process::send(int signal) const {
  if (!ended_) kill(pid_, signal);
}

void Process::reap(int options) {
  if (!ended_ && waitpid(pid_, &status_, options) == pid_) ended_ = true;
}

bool Process::running() {
  reap(WNOHANG);
  return !ended_;
}

Outcome Process::wait() {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(kLongestSeconds);
  while (running()) {
    if (std::chrono::steady_clock::now() > end) send(SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  Outcome outcome;
  if (WIFEXITED(status_)) outcome.code = WEXITSTATUS(status_);
  if (WIFSIGNALED(status_)) outcome.signal = WTERMSIG(status_);
  outcome.out = text_of(out_);
  outcome.err = text_of(err_);
  return outcome;
}

Outcome enas_ptb(const TemporaryFolder& folder, const Arguments& arguments, Limits limits) {
  return Process(folder, arguments, limits).wait();
}

void wait_until(Process& process, const std::function<bool()>& ready) {
  while (process.running() && !ready()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

Arguments operator+(Arguments left, const Arguments& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

}  // namespace enas
