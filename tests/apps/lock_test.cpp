// LOCK: one live writer, dead writers' locks taken over.
#include "apps/run/lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/temporary_folder.h"

namespace enas {
namespace {

std::string host() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

void expect_in_use(const std::string& folder) {
  try {
    const RunLock lock(folder);
    ADD_FAILURE() << "the lock was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 2);
    EXPECT_NE(std::string(error.what()).find("in use by process"), std::string::npos);
  }
}

TEST(RunLock, OneHolderInAProcess) {
  const TemporaryFolder folder;
  {
    RunLock first(folder.path());
    const RunLock lock(std::move(first));
    EXPECT_FALSE(lock_is_free(folder.path()));
    expect_in_use(folder.path());
  }
  EXPECT_TRUE(lock_is_free(folder.path()));
  EXPECT_NO_THROW(RunLock(folder.path()));
}

TEST(RunLock, LiveChildHoldsItAndAKilledOneDoesNot) {
  const TemporaryFolder folder;
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const RunLock lock(folder.path());
    if (write(ready[1], "x", 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  expect_in_use(folder.path());
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(exists(folder / "LOCK"));
  const RunLock lock(folder.path());
  EXPECT_NE(text_of(folder / "LOCK").find("pid " + std::to_string(getpid()) + "\n"),
            std::string::npos);
  close(ready[0]);
  close(ready[1]);
}

TEST(RunLock, UsedAgainPidIsAnotherProcess) {
  const TemporaryFolder folder;
  folder.write("LOCK", "pid " + std::to_string(getppid()) + "\nstart 1\nhost " + host() + "\n");
  EXPECT_NO_THROW(RunLock(folder.path()));
}

TEST(RunLock, OtherHostCountsAsLiveAndBrokenFileAsDead) {
  const TemporaryFolder folder;
  folder.write("LOCK", "pid 1\nstart 1\nhost elsewhere.example\n");
  expect_in_use(folder.path());
  for (const char* text : {"", "pid", "pid x\nhost y\n", "pid 12"}) {
    folder.write("LOCK", text);
    EXPECT_NO_THROW(RunLock(folder.path())) << text;
  }
}

TEST(RunLock, LeavesALockThatIsNoLongerItsOwn) {
  const TemporaryFolder folder;
  const std::string other = "pid 1\nstart 1\nhost elsewhere.example\n";
  {
    const RunLock lock(folder.path());
    folder.write("LOCK", other);
  }
  EXPECT_EQ(text_of(folder / "LOCK"), other);
}

}  // namespace
}  // namespace enas
