// Starts the built program as a user does and tells how it ended: exit code or signal, standard
// output, standard error. Output goes to files, so that no full pipe stops it.
#pragma once
#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/temporary_folder.h"

namespace enas {

using Arguments = std::vector<std::string>;

struct Outcome {
  int code = -1;   // -1: ended by a signal
  int signal = 0;  // that ended it; 0: it exited
  std::string out, err;
  std::string all() const { return out + err; }
};

// Limits of the started process; 0: none.
struct Limits {
  unsigned long file_bytes = 0;    // RLIMIT_FSIZE
  unsigned long memory_bytes = 0;  // RLIMIT_AS
};

class Process {
 public:
  // `folder` is where standard output and error are kept; one process at a time uses it. The
  // program sees no GPU: what it would do with one is for tests/cuda.
  Process(const TemporaryFolder& folder, const Arguments& arguments, Limits limits = {},
          const char* program = ENAS_PTB);
  ~Process();  // kills it if it still runs
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void send(int signal) const;
  bool running();
  Outcome wait();  // at most two minutes, then it is killed

 private:
  void reap(int options);

  std::string out_, err_;
  pid_t pid_ = -1;
  bool ended_ = false;
  int status_ = 0;
};

// enas_ptb with these arguments, to its end.
Outcome enas_ptb(const TemporaryFolder& folder, const Arguments& arguments, Limits limits = {});

// Polls each millisecond until `ready` is true or the process has ended.
void wait_until(Process& process, const std::function<bool()>& ready);

Arguments operator+(Arguments left, const Arguments& right);

}  // namespace enas
