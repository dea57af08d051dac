// Run directories: complete appearance, refusals, overwrite, run.json.
#include "apps/run/run_directory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "apps/run/run_record.h"
#include "apps/run/version.h"
#include "tensor/isa.h"
#include "tests/temporary_folder.h"

namespace enas {
namespace {

RunRecord make_record() {
  return {.program = "enas_test",
          .command = "run",
          .argv = {"enas_test", "run", "--seed", "7"},
          .seed = 7,
          .blas = "OpenBLAS 0.3"};
}

template <class Body>
void expect_kind(ErrorKind kind, const std::string& part, Body body) {
  try {
    body();
    ADD_FAILURE() << "not refused: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

// Fails every call from the k-th on; renames of folders are recorded before they happen.
class FailingFiles : public FileSystem {
 public:
  explicit FailingFiles(int good_calls) : left_(good_calls) {}
  int open(const char* path, int flags, mode_t mode) override {
    return (flags & O_ACCMODE) != O_RDONLY && fails() ? -1 : FileSystem::open(path, flags, mode);
  }
  ssize_t write(int fd, const void* bytes, std::size_t count) override {
    return fails() ? -1 : FileSystem::write(fd, bytes, count);
  }
  int fsync(int fd) override { return fails() ? -1 : FileSystem::fsync(fd); }
  int rename(const char* from, const char* to) override {
    return fails() ? -1 : FileSystem::rename(from, to);
  }
  int mkdir(const char* path, mode_t mode) override {
    return fails() ? -1 : FileSystem::mkdir(path, mode);
  }
  bool failed() const { return failed_; }

 private:
  bool fails() {
    if (left_-- > 0) return false;
    failed_ = true;
    errno = ENOSPC;
    return true;
  }
  int left_;
  bool failed_ = false;
};

TEST(RunDirectory, HasItsFilesAndGivesTheLockBack) {
  const TemporaryFolder folder;
  const std::string path = folder / "runs/a";
  {
    const RunDirectory run = RunDirectory::create(path + "/", make_record(), "seed = 7\n", false);
    EXPECT_EQ(run.path(), path);
    EXPECT_EQ(text_of(run.config()), "seed = 7\n");
    EXPECT_TRUE(exists(path + "/LOCK"));
    EXPECT_TRUE(is_directory(path + "/arch"));
    EXPECT_TRUE(is_directory(run.checkpoints()));
    EXPECT_EQ(list(folder / "runs"), std::vector<std::string>{"a"});
  }
  EXPECT_FALSE(exists(path + "/LOCK"));
}

TEST(RunDirectory, RecordSaysWhatWasRun) {
  const TemporaryFolder folder;
  const std::string path = folder / "a";
  {
    RunRecord record = make_record();
    record.data = "tiny-text, 1,000 words \xff";
    record.data_fingerprint = "abc";
    RunDirectory run = RunDirectory::create(path, record, "", false);
    run.add_timing("search", 1.5);
    run.add_timing("search", 1);
    run.set_status(RunStatus::stopped, "SIGINT");
  }
  const auto json = nlohmann::json::parse(text_of(path + "/run.json"));
  EXPECT_EQ(json["version"], kVersion);
  EXPECT_EQ(json["seed"], 7);
  EXPECT_EQ(json["argv"][3], "7");
  EXPECT_EQ(json["status"], "stopped");
  EXPECT_EQ(json["timings"]["search"], 2.5);
  EXPECT_FALSE(json["cpu"].get<std::string>().empty());
  EXPECT_EQ(json["isa"], name_of(isa()));
  EXPECT_FALSE(json["build"].get<std::string>().empty());
  RunDirectory again = RunDirectory::open(path);
  EXPECT_EQ(again.record().message, "SIGINT");
  EXPECT_EQ(again.record().data_fingerprint, "abc");
  again.count_resume();
  EXPECT_EQ(read_run_record(path).resumes, 1);
  EXPECT_EQ(read_run_record(path).status, RunStatus::running);
}

TEST(RunDirectory, ExistingIsRefusedUnlessOverwritten) {
  const TemporaryFolder folder;
  const std::string path = folder / "a";
  { RunDirectory::create(path, make_record(), "first", false); }
  std::ofstream(path + "/metrics.jsonl") << "{}\n";
  expect_kind(ErrorKind::usage, "--overwrite",
              [&] { RunDirectory::create(path, make_record(), "second", false); });
  EXPECT_EQ(text_of(path + "/config.toml"), "first");
  const RunDirectory run = RunDirectory::create(path, make_record(), "second", true);
  EXPECT_EQ(text_of(run.config()), "second");
  EXPECT_FALSE(exists(run.metrics()));
  EXPECT_EQ(list(folder.path()), std::vector<std::string>{"a"});
  expect_kind(ErrorKind::usage, "in use",
              [&] { RunDirectory::create(path, make_record(), "third", true); });
  EXPECT_EQ(text_of(run.config()), "second");
  EXPECT_EQ(list(folder.path()), std::vector<std::string>{"a"});
}

TEST(RunDirectory, OverwriteReplacesOnlyRuns) {
  const TemporaryFolder folder;
  const std::string file = folder.write("precious.txt", "x");
  expect_kind(ErrorKind::usage, "not a run directory",
              [&] { RunDirectory::create(folder.path(), make_record(), "", true); });
  expect_kind(ErrorKind::usage, "not a run directory",
              [&] { RunDirectory::create(file, make_record(), "", true); });
  EXPECT_EQ(text_of(file), "x");
  expect_kind(ErrorKind::usage, "expected the path",
              [&] { RunDirectory::create("/", make_record(), "", true); });
}

TEST(RunDirectory, MissingOrForeignOrDamagedIsRefused) {
  const TemporaryFolder folder;
  expect_kind(ErrorKind::usage, "no such run", [&] { RunDirectory::open(folder / "none"); });
  expect_kind(ErrorKind::usage, "no run.json", [&] { RunDirectory::open(folder.path()); });
  for (const char* text : {"", "{", "[]", "{\"program\": 3}", "{\"program\": \"x\"}"}) {
    folder.write("run.json", text);
    expect_kind(ErrorKind::data, "run.json", [&] { RunDirectory::open(folder.path()); });
  }
  EXPECT_FALSE(exists(folder / "LOCK"));
}

// Whatever call fails, the path is absent or complete, and the error is `write`.
TEST(RunDirectory, AppearsCompleteOrNotAtAll) {
  bool failed = true;
  int calls = 0;
  for (; failed && calls < 200; ++calls) {
    const TemporaryFolder folder;
    const std::string path = folder / "a";
    FailingFiles files(calls);
    try {
      RunDirectory::create(path, make_record(), "seed = 7\n", false, files);
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), 8) << error.what();
    }
    failed = files.failed();
    if (exists(path)) {
      EXPECT_EQ(text_of(path + "/config.toml"), "seed = 7\n");
      EXPECT_EQ(read_run_record(path).seed, 7u);
      EXPECT_TRUE(is_directory(path + "/ckpt"));
    } else {
      EXPECT_TRUE(failed);
    }
  }
  EXPECT_FALSE(failed);
  EXPECT_GT(calls, 10);
}

// Whatever call fails while overwriting, there is the old run or the new one.
TEST(RunDirectory, OverwriteKeepsOldOrNew) {
  bool failed = true;
  for (int calls = 0; failed && calls < 200; ++calls) {
    const TemporaryFolder folder;
    const std::string path = folder / "a";
    { RunDirectory::create(path, make_record(), "old", false); }
    FailingFiles files(calls);
    try {
      RunDirectory::create(path, make_record(), "new", true, files);
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), 8) << error.what();
    }
    failed = files.failed();
    std::vector<std::string> found;
    for (const std::string& name : list(folder.path())) {
      if (is_run_directory(folder / name))
        found.push_back(text_of((folder / name) + "/config.toml"));
    }
    ASSERT_FALSE(found.empty()) << calls;
  }
  EXPECT_FALSE(failed);
}

TEST(RunDirectory, ClearsWhatAKilledCreationLeft) {
  const TemporaryFolder folder;
  const std::string dead = folder / ".a.making-999999";
  std::filesystem::create_directories(dead);
  std::ofstream(dead + "/LOCK") << "pid 999999\nstart 1\nhost " << [] {
    char name[256] = {};
    gethostname(name, sizeof name - 1);
    return std::string(name);
  }() << "\n";
  const RunDirectory run = RunDirectory::create(folder / "a", make_record(), "", false);
  EXPECT_EQ(list(folder.path()), std::vector<std::string>{"a"});
}

TEST(Version, IsThatOfTheBuild) {
  const std::string text = text_of(std::string(ENAS_SOURCE_DIR) + "/CMakeLists.txt");
  EXPECT_NE(text.find("project(enas VERSION " + std::string(kVersion) + " "), std::string::npos);
}

}  // namespace
}  // namespace enas
