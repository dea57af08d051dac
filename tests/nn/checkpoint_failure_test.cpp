// Checkpoints on a failing disk: every call of save and load failing (k = 1, 2, ... until it
// passes), with each error, leaves the old or the new checkpoint and throws the documented kind.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <optional>

#include "nn/checkpoint.h"
#include "tests/nn/checkpoint_runs.h"

namespace enas {
namespace {

// Fails at call number `fail_at` (1, 2, ...), or from it on for good; moves at most `chunk` bytes.
class FailingFiles : public QuickFiles {
 public:
  FailingFiles(int fail_at, int error, bool for_good, size_t chunk)
      : fail_at_(fail_at), error_(error), for_good_(for_good), chunk_(chunk) {}
  bool failed() const { return calls_ >= fail_at_; }
  int open_files() const { return open_; }

  int open(const char* path, int flags, mode_t mode) override {
    const int fd = fails() ? -1 : FileSystem::open(path, flags, mode);
    open_ += fd >= 0;
    return fd;
  }
  ssize_t read(int fd, void* bytes, size_t count) override {
    return fails() ? -1 : FileSystem::read(fd, bytes, std::min(count, chunk_));
  }
  ssize_t write(int fd, const void* bytes, size_t count) override {
    return fails() ? -1 : FileSystem::write(fd, bytes, std::min(count, chunk_));
  }
  int fsync(int fd) override { return fails() ? -1 : QuickFiles::fsync(fd); }
  int close(int fd) override {
    --open_;
    const bool failing = fails();
    const int result = FileSystem::close(fd);
    if (failing) errno = error_;
    return failing ? -1 : result;
  }
  int rename(const char* from, const char* to) override {
    return fails() ? -1 : QuickFiles::rename(from, to);
  }
  int unlink(const char* path) override { return fails() ? -1 : FileSystem::unlink(path); }
  int mkdir(const char* path, mode_t mode) override {
    return fails() ? -1 : FileSystem::mkdir(path, mode);
  }

 private:
  bool fails() {
    ++calls_;
    const bool failing = for_good_ ? calls_ >= fail_at_ : calls_ == fail_at_;
    if (failing) errno = error_;
    return failing;
  }
  int fail_at_, error_, calls_ = 0, open_ = 0;
  bool for_good_;
  size_t chunk_;
};

// Calls f with files that fail at call k, for all k until f has not seen a failure, with each
// error, once and for good; before(), f, then after(the error thrown). Returns the number of runs.
int for_each_failure(const std::function<void()>& before, const std::function<void(FileSystem&)>& f,
                     const std::function<void(ErrorKind, bool, const std::string&)>& after) {
  int runs = 0;
  for (const int error : {ENOSPC, EIO, EINTR, EDQUOT, EACCES}) {
    for (const bool for_good : {false, true}) {
      if (for_good && error == EINTR) continue;  // would be retried a thousand times
      for (int k = 1;; ++k) {
        before();
        FailingFiles files(k, error, for_good, 1500);
        const auto [kind, text] = error_of([&] { f(files); });
        EXPECT_EQ(files.open_files(), 0);
        after(kind, error == EINTR, text);
        ++runs;
        if (!files.failed()) {
          EXPECT_EQ(kind, ErrorKind{}) << text;
          break;
        }
      }
    }
  }
  return runs;
}

TEST(CheckpointFailure, EveryFailingCallOfASaveLeavesOldOrNew) {
  for (const bool load_first : {false, true}) {
    std::optional<TwoSteps> two;
    const int runs = for_each_failure(
        [&] { two.emplace(); },
        [&](FileSystem& files) {
          CheckpointFolder writer(two->folder.path(), files);
          if (load_first) writer.load_latest();
          writer.save(run_at(3));
        },
        [&](ErrorKind kind, bool interrupted, const std::string& text) {
          // The load before it may fail as a load does.
          EXPECT_TRUE(kind == ErrorKind{} || kind == ErrorKind::write ||
                      (load_first && kind == ErrorKind::checkpoint))
              << text;
          if (interrupted) {
            EXPECT_EQ(kind, ErrorKind{}) << text;
          }
          std::vector<std::string> warnings;
          QuickFiles quick;
          CheckpointFolder reader(two->folder.path(), quick);
          const auto found = reader.load_latest(&warnings);
          EXPECT_TRUE(warnings.empty());
          ASSERT_TRUE(found.has_value());
          const int64_t step = found->integer("step");
          EXPECT_TRUE(step == 3 || (step == 2 && kind != ErrorKind{})) << step << text;
          expect_run(*found, step);
          reader.save(run_at(4));  // and the run can go on
          expect_run(*CheckpointFolder(two->folder.path()).load_latest(), 4);
          EXPECT_EQ(list(two->folder.path()).size(), 2u);
        });
    EXPECT_GT(runs, 150);
  }
}

TEST(CheckpointFailure, EveryFailingCallOfTheFirstSaveLeavesNothingOrIt) {
  std::optional<TemporaryFolder> folder;
  for_each_failure(
      [&] { folder.emplace(); },
      [&](FileSystem& files) { CheckpointFolder(*folder / "ckpt", files).save(run_at(1)); },
      [&](ErrorKind kind, bool, const std::string& text) {
        EXPECT_TRUE(kind == ErrorKind{} || kind == ErrorKind::write) << text;
        CheckpointFolder reader(*folder / "ckpt");
        const auto found = reader.load_latest();
        EXPECT_TRUE(found.has_value() || kind == ErrorKind::write);
        if (found) expect_run(*found, 1);
      });
}

TEST(CheckpointFailure, ARetryAfterAFailedSaveKeepsTheAcknowledgedFile) {
  TwoSteps two;
  for (int k = 1; k < 60; ++k) {
    FailingFiles files(k, ENOSPC, false, 1 << 20);
    CheckpointFolder writer(two.folder.path(), files);
    const bool saved = error_of([&] { writer.save(run_at(2)); }).first == ErrorKind{};
    const bool again = error_of([&] { writer.save(run_at(2)); }).first == ErrorKind{};
    EXPECT_TRUE(saved || again);
    std::vector<std::string> warnings;
    expect_run(*CheckpointFolder(two.folder.path()).load_latest(&warnings), 2);
    EXPECT_TRUE(warnings.empty());
  }
}

TEST(CheckpointFailure, EveryFailingCallOfALoadGivesACheckpointOrThrows) {
  const TwoSteps two;
  const int runs = for_each_failure(
      [] {},
      [&](FileSystem& files) {
        std::vector<std::string> warnings;
        const auto found = CheckpointFolder(two.folder.path(), files).load_latest(&warnings);
        ASSERT_TRUE(found.has_value());
        const int64_t step = found->integer("step");
        EXPECT_TRUE(step == 2 || (step == 1 && !warnings.empty())) << step;
        expect_run(*found, step);
      },
      [&](ErrorKind kind, bool interrupted, const std::string& text) {
        EXPECT_TRUE(kind == ErrorKind{} || kind == ErrorKind::checkpoint) << text;
        if (interrupted) {
          EXPECT_EQ(kind, ErrorKind{}) << text;
        }
        EXPECT_EQ(read_file(two.newer, 1 << 20), two.bytes);
      });
  EXPECT_GT(runs, 80);
}

TEST(CheckpointFailure, ASaveThatCannotSeeWhichFileIsNewerReplacesNone) {
  class Unreadable : public QuickFiles {
    ssize_t read(int, void*, size_t) override {
      errno = EIO;
      return -1;
    }
  } files;
  const TwoSteps two;
  CheckpointFolder writer(two.folder.path(), files);
  EXPECT_EQ(error_of([&] { writer.save(run_at(3)); }).first, ErrorKind::write);
  EXPECT_EQ(read_safetensors(writer.file(0)).metadata.at("value.step"), "1");
  EXPECT_EQ(read_file(two.newer, 1 << 20), two.bytes);
}

TEST(CheckpointFailure, TheFirstSaveAndEveryTwentiethAreReadBack) {
  // Writes that lose a bit: found by the read-back, the old checkpoint stays the one to use.
  class LosesABit : public QuickFiles {
   public:
    bool losing = true;
    int reads = 0;
    ssize_t write(int fd, const void* bytes, size_t count) override {
      std::string copy(static_cast<const char*>(bytes), count);
      if (losing) copy.back() = static_cast<char>(copy.back() ^ 4);
      return FileSystem::write(fd, copy.data(), count);
    }
    ssize_t read(int fd, void* bytes, size_t count) override {
      ++reads;
      return FileSystem::read(fd, bytes, count);
    }
  } files;
  TwoSteps two;
  CheckpointFolder writer(two.folder.path(), files);
  writer.load_latest();
  const auto [kind, text] = error_of([&] { writer.save(run_at(3)); });
  EXPECT_EQ(kind, ErrorKind::write);
  EXPECT_TRUE(contains(text, "read back")) << text;
  expect_run(*CheckpointFolder(two.folder.path()).load_latest(), 2);
  files.losing = false;
  for (int i = 0; i < 41; ++i) {
    const int before = files.reads;
    writer.save(run_at(3 + i));
    EXPECT_EQ(files.reads > before, i % 20 == 0) << i;
  }
  expect_run(*CheckpointFolder(two.folder.path()).load_latest(), 43);
}

}  // namespace
}  // namespace enas
