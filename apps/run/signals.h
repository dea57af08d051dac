// SIGINT and SIGTERM ask for a stop: the loops look at the one flag between steps, write a
// checkpoint and leave with 130 or 143 (docs/interface.md "Exit codes"). The second signal ends the
// process at once.
#pragma once

namespace enas {

// Also ignores SIGPIPE (a closed pipe must not end a run) and SIGXFSZ (a file size limit becomes a
// write error).
void install_signal_handlers();
int stop_signal();     // 0, SIGINT or SIGTERM
int stop_exit_code();  // 0, 130 or 143

}  // namespace enas
