// RUN/LOCK: two processes cannot write one run. The file names the process (pid, start time, host);
// the lock of a dead process is taken over. Looking and taking happen under flock(2) of the folder,
// so two cannot take it at once.
#pragma once
#include <string>

#include "data/file.h"

namespace enas {

class RunLock {
 public:
  // Error `usage` if a live process holds it (one on another host counts as live).
  explicit RunLock(std::string folder, FileSystem& files = real_files());
  RunLock(RunLock&& other) noexcept;
  RunLock& operator=(RunLock&& other) noexcept;
  ~RunLock();  // removes the file if it is still ours

  // After the folder was renamed.
  void moved_to(std::string folder) { folder_ = std::move(folder); }

 private:
  void release() noexcept;
  std::string folder_;  // empty: moved from
  FileSystem* files_;
};

std::string host_name();  // as LOCK and run.json say it
// True where folder/LOCK is absent or belongs to a process that is gone.
bool lock_is_free(const std::string& folder, FileSystem& files = real_files());

}  // namespace enas
