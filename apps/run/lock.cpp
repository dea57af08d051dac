// See lock.h. A pid alone may be used again, so the process's start time (field 22 of
// /proc/PID/stat) goes with it.
#include "apps/run/lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <climits>
#include <exception>
#include <sstream>
#include <utility>

namespace enas {
namespace {

constexpr std::uint64_t kLargest = 4096;

struct Holder {
  long pid = 0;
  std::string start;  // clock ticks since boot
  std::string host;

  bool operator==(const Holder& other) const {
    return pid == other.pid && start == other.start && host == other.host;
  }
};

// Empty where there is no such process. The second field, in parentheses, may hold blanks.
std::string start_of(long pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  if (pid <= 0 || !exists(path)) return "";
  std::string text;
  try {
    text = read_file(path, kLargest);
  } catch (const Error&) {
    return "";  // it ended meanwhile
  }
  const std::size_t close = text.rfind(')');
  if (close == std::string::npos) return "";
  std::istringstream fields(text.substr(close + 1));
  std::string state;
  std::string field;
  fields >> state;
  constexpr int kFieldsFromStateToStart = 19;
  for (int i = 0; i < kFieldsFromStateToStart; ++i) fields >> field;
  const bool dead = state == "Z" || state == "X";
  return dead ? "" : field;
}

Holder self() { return {getpid(), start_of(getpid()), host_name()}; }

std::string lock_path(const std::string& folder) { return folder + "/LOCK"; }

std::string to_text(const Holder& holder) {
  return "pid " + std::to_string(holder.pid) + "\nstart " + holder.start + "\nhost " + holder.host +
         "\n";
}

// A pid of 0 where the file is absent or broken off, as a crash while writing leaves it.
Holder read_holder(const std::string& folder, FileSystem& files) {
  Holder holder;
  if (!exists(lock_path(folder))) return holder;
  std::istringstream lines(read_file(lock_path(folder), kLargest, files, ErrorKind::usage));
  std::string key;
  std::string value;
  while (lines >> key >> value) {
    if (key == "pid") holder.pid = std::strtol(value.c_str(), nullptr, 10);
    if (key == "start") holder.start = value;
    if (key == "host") holder.host = value;
  }
  return holder;
}

bool is_live(const Holder& holder) {
  if (holder.pid <= 0 || holder.host.empty()) return false;
  if (holder.host != host_name()) return true;
  return !holder.start.empty() && start_of(holder.pid) == holder.start;
}

// Exclusive use of the folder while it lives; file systems without flock go without.
class FolderGuard {
 public:
  FolderGuard(const std::string& folder, FileSystem& files)
      : files_(files), fd_(files.open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)) {
    check(fd_ >= 0, ErrorKind::usage, folder, "cannot open the run directory to lock it");
    flock(fd_, LOCK_EX);
  }
  FolderGuard(const FolderGuard&) = delete;
  FolderGuard& operator=(const FolderGuard&) = delete;
  ~FolderGuard() { files_.close(fd_); }

 private:
  FileSystem& files_;
  int fd_;
};

}  // namespace

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

RunLock::RunLock(std::string folder, FileSystem& files)
    : folder_(std::move(folder)), files_(&files) {
  const FolderGuard guard(folder_, files);
  const Holder holder = read_holder(folder_, files);
  check(!is_live(holder), ErrorKind::usage, folder_, "is in use by process ", holder.pid, " on ",
        holder.host, "; wait for it or stop it (if it is gone, remove ", lock_path(folder_), ")");
  write_file_atomic(lock_path(folder_), to_text(self()), files);
}

RunLock::RunLock(RunLock&& other) noexcept
    : folder_(std::exchange(other.folder_, "")), files_(other.files_) {}

RunLock& RunLock::operator=(RunLock&& other) noexcept {
  if (this != &other) {
    release();
    folder_ = std::exchange(other.folder_, "");
    files_ = other.files_;
  }
  return *this;
}

RunLock::~RunLock() { release(); }

void RunLock::release() noexcept {
  if (folder_.empty()) return;
  try {
    const FolderGuard guard(folder_, *files_);
    if (read_holder(folder_, *files_) == self()) remove_file(lock_path(folder_), *files_);
  } catch (const std::exception&) {
    // The folder is gone or read-only: the lock dies with this process anyway.
  }
  folder_.clear();
}

bool lock_is_free(const std::string& folder, FileSystem& files) {
  return !is_live(read_holder(folder, files));
}

}  // namespace enas
