// Files: every call of every operation failing once (k = 1, 2, ... until it passes) with each error
// leaves the old or the new content, throws the right kind, leaves no temporary and no descriptor;
// short writes and reads are completed.
#include "data/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <functional>
#include <optional>

#include "tests/temporary_folder.h"

namespace enas {
namespace {

// Fails at call number `fail_at` (1, 2, ...), or from it on for good, with `error`; moves at most
// `chunk` bytes a read or write.
class FailingFiles : public FileSystem {
 public:
  FailingFiles(int fail_at, int error, size_t chunk = 1 << 20, bool for_good = false)
      : fail_at_(fail_at), error_(error), chunk_(chunk), for_good_(for_good) {}
  bool failed() const { return calls_ >= fail_at_; }
  bool renamed() const { return renamed_; }

  int open(const char* path, int flags, mode_t mode) override {
    return fails() ? -1 : FileSystem::open(path, flags, mode);
  }
  ssize_t read(int fd, void* bytes, size_t count) override {
    return fails() ? -1 : FileSystem::read(fd, bytes, std::min(count, chunk_));
  }
  ssize_t write(int fd, const void* bytes, size_t count) override {
    return fails() ? -1 : FileSystem::write(fd, bytes, std::min(count, chunk_));
  }
  int fsync(int fd) override { return fails() ? -1 : FileSystem::fsync(fd); }
  int close(int fd) override {  // as Linux does: closed even if it reports an error
    const bool failing = fails();
    const int error = errno;
    const int result = FileSystem::close(fd);
    if (failing) errno = error;
    return failing ? -1 : result;
  }
  int truncate(int fd, off_t size) override {
    return fails() ? -1 : FileSystem::truncate(fd, size);
  }
  off_t size(int fd) override { return fails() ? -1 : FileSystem::size(fd); }
  int rename(const char* from, const char* to) override {
    if (fails()) return -1;
    renamed_ = true;
    return FileSystem::rename(from, to);
  }
  int unlink(const char* path) override { return fails() ? -1 : FileSystem::unlink(path); }
  int mkdir(const char* path, mode_t mode) override {
    return fails() ? -1 : FileSystem::mkdir(path, mode);
  }
  int rmdir(const char* path) override { return fails() ? -1 : FileSystem::rmdir(path); }
  int symlink(const char* target, const char* path) override {
    return fails() ? -1 : FileSystem::symlink(target, path);
  }

 private:
  bool fails() {
    ++calls_;
    if (for_good_ ? calls_ < fail_at_ : calls_ != fail_at_) return false;
    errno = error_;
    return true;
  }

  int fail_at_, error_;
  size_t chunk_;
  bool for_good_;
  int calls_ = 0;
  bool renamed_ = false;
};

const int kErrors[] = {ENOSPC, EIO, EINTR, EDQUOT, EACCES};

size_t open_descriptors() { return list("/proc/self/fd").size(); }

std::optional<ErrorKind> kind_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_FALSE(std::string(error.what()).empty());
    return error.kind();
  }
  return std::nullopt;
}

// Runs `action` with the k-th call failing, k = 1, 2, ... until no call is left; `after(files,
// kind)` judges.
void for_each_failure(
    const std::function<void(FileSystem&)>& action, const std::function<void()>& before,
    const std::function<void(FailingFiles&, std::optional<ErrorKind>, int)>& after,
    size_t chunk = 1 << 20) {
  for (const int error : kErrors) {
    for (int k = 1;; ++k) {
      before();
      const size_t descriptors = open_descriptors();
      FailingFiles files(k, error, chunk);
      const std::optional<ErrorKind> kind = kind_of([&] { action(files); });
      SCOPED_TRACE("call " + std::to_string(k) + " errno " + std::to_string(error));
      EXPECT_EQ(open_descriptors(), descriptors);
      if (error == EINTR) {
        EXPECT_FALSE(kind.has_value());
      }
      after(files, kind, error);
      if (!files.failed()) {
        EXPECT_FALSE(kind.has_value());
        EXPECT_GT(k, 1);
        break;
      }
      ASSERT_LT(k, 1000);
    }
  }
}

TEST(File, AtomicWriteSurvivesEveryFailingCall) {
  const TemporaryFolder folder;
  const std::string path = folder / "model";
  const std::string fresh = "new content, written in pieces";
  for (const bool replaces : {true, false}) {
    for_each_failure(
        [&](FileSystem& files) {
          write_file_atomic(path,
                            {std::string_view(fresh).substr(0, 11), std::string_view(),
                             std::string_view(fresh).substr(11)},
                            files);
        },
        [&] {
          remove_file(path);
          if (replaces) folder.write("model", "old");
        },
        [&](FailingFiles& files, std::optional<ErrorKind> kind, int) {
          if (kind.has_value()) {
            EXPECT_EQ(*kind, ErrorKind::write);
          }
          const bool is_new = files.renamed();
          if (!kind.has_value()) {
            EXPECT_TRUE(is_new);
          }
          EXPECT_EQ(exists(path), is_new || replaces);
          if (exists(path)) {
            EXPECT_EQ(read_file(path, 100), is_new ? fresh : "old");
          }
          EXPECT_EQ(list(folder.path()).size(), exists(path) ? 1u : 0u);
        },
        4);
  }
}

// What a power failure could undo must be on the disk before the rename, and the rename after it.
TEST(File, AtomicWriteSyncsFileThenRenamesThenSyncsFolder) {
  class Recording : public FileSystem {
   public:
    std::string calls;
    int open(const char* path, int flags, mode_t mode) override {
      calls += flags & O_DIRECTORY ? "folder " : flags & O_EXCL ? "temporary " : "open ";
      return FileSystem::open(path, flags, mode);
    }
    ssize_t write(int fd, const void* bytes, size_t count) override {
      calls += "write ";
      return FileSystem::write(fd, bytes, count);
    }
    int fsync(int fd) override { return calls += "fsync ", FileSystem::fsync(fd); }
    int close(int fd) override { return calls += "close ", FileSystem::close(fd); }
    int rename(const char* from, const char* to) override {
      calls += "rename ";
      return FileSystem::rename(from, to);
    }
  } files;
  const TemporaryFolder folder;
  write_file_atomic(folder / "a", std::vector<std::string_view>{"x", "y"}, files);
  EXPECT_EQ(files.calls, "temporary write write fsync close rename folder fsync close ");
}

TEST(File, AtomicWriteOnADiskThatStaysBrokenKeepsOldOrNew) {
  const TemporaryFolder folder;
  for (const int error : kErrors) {
    bool failed = true;
    for (int k = 1; failed; ++k) {
      folder.write("model", "old");
      const size_t descriptors = open_descriptors();
      FailingFiles files(k, error, 4, true);
      const auto kind = kind_of([&] { write_file_atomic(folder / "model", "new one", files); });
      failed = files.failed();
      // Only a close that reports EINTR as the last call does not count.
      if (failed && error != EINTR) {
        EXPECT_EQ(kind, ErrorKind::write) << k << " " << error;
      }
      EXPECT_EQ(read_file(folder / "model", 10), files.renamed() ? "new one" : "old");
      EXPECT_EQ(open_descriptors(), descriptors);
    }
  }
}

TEST(File, AtomicWriteKeepsModeReplacesLinksRefusesFolders) {
  const TemporaryFolder folder;
  folder.write("a", "old");
  ASSERT_EQ(::chmod((folder / "a").c_str(), 0600), 0);
  write_file_atomic(folder / "a", "new");
  struct stat status {};
  ASSERT_EQ(::stat((folder / "a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  make_link("a", folder / "link");
  EXPECT_EQ(read_file(folder / "link", 10), "new");
  write_file_atomic(folder / "link", "other");
  EXPECT_EQ(read_file(folder / "a", 10), "new");
  EXPECT_EQ(read_file(folder / "link", 10), "other");
  EXPECT_EQ(kind_of([&] { write_file_atomic(folder.path(), "x"); }), ErrorKind::write);
  EXPECT_EQ(kind_of([&] { write_file_atomic(folder / "none/a", "x"); }), ErrorKind::write);
}

TEST(File, TemporariesOfAnInterruptedWriteAreRecognised) {
  const TemporaryFolder folder;
  class Killed : public FileSystem {  // neither renames nor unlinks: what kill -9 leaves
    int rename(const char*, const char*) override { return -1; }
    int unlink(const char*) override { return -1; }
  } killed;
  folder.write("keep.tmp", "x");
  EXPECT_EQ(kind_of([&] { write_file_atomic(folder / "a", "x", killed); }), ErrorKind::write);
  ASSERT_EQ(list(folder.path()).size(), 2u);
  EXPECT_EQ(remove_temporaries(folder.path()), 1);
  EXPECT_EQ(list(folder.path()), std::vector<std::string>{"keep.tmp"});
}

TEST(File, ReadFailsWithTheKindAskedForOrGivesTheWholeFile) {
  const TemporaryFolder folder;
  const std::string content(10007, 'x');
  folder.write("a", content);
  for_each_failure(
      [&](FileSystem& files) {
        EXPECT_EQ(read_file(folder / "a", 10007, files, ErrorKind::checkpoint), content);
      },
      [] {},
      [](FailingFiles&, std::optional<ErrorKind> kind, int) {
        if (kind.has_value()) {
          EXPECT_EQ(*kind, ErrorKind::checkpoint);
        }
      },
      1000);
}

TEST(File, ReadRefusesMissingFoldersAndLongFilesByName) {
  const TemporaryFolder folder;
  folder.write("a", "12345");
  folder.write("empty", "");
  EXPECT_EQ(read_file(folder / "a", 5), "12345");
  EXPECT_EQ(read_file(folder / "empty", 0), "");
  EXPECT_EQ(kind_of([&] { read_file(folder / "a", 4); }), ErrorKind::data);
  EXPECT_EQ(kind_of([&] { read_file(folder.path(), 4); }), ErrorKind::data);
  try {
    read_file(folder / "none", 5);
    FAIL() << "a missing file was read";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_NE(std::string(error.what()).find(folder / "none"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("expected a readable file"), std::string::npos);
  }
  EXPECT_EQ(read_file("/dev/null", 5), "");
  EXPECT_EQ(kind_of([] { read_file("/dev/zero", 1 << 18); }), ErrorKind::data);
}

TEST(File, AppendedLinesAreWholeAfterEveryFailingCall) {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  for_each_failure(
      [&](FileSystem& files) {
        AppendFile file(path, files);
        file.append("second line\n");
        file.sync();
        file.append("third\n");
        file.truncate_to(18);
        EXPECT_EQ(file.size(), 18u);
      },
      [&] { folder.write("metrics.jsonl", "first\n"); },
      [&](FailingFiles&, std::optional<ErrorKind> kind, int) {
        if (kind.has_value()) {
          EXPECT_EQ(*kind, ErrorKind::write);
        }
        const std::string left = read_file(path, 100);
        if (!kind.has_value()) {
          EXPECT_EQ(left, "first\nsecond line\n");
        }
        EXPECT_TRUE(left == "first\n" || left == "first\nsecond line\n" ||
                    left == "first\nsecond line\nthird\n")
            << left;
      },
      4);
}

TEST(File, AppendGoesOnAtTheEndAndRefusesToGrowByTruncation) {
  const TemporaryFolder folder;
  AppendFile file(folder / "log");
  file.append("abc");
  AppendFile moved = std::move(file);
  moved.append("def");
  EXPECT_EQ(moved.size(), 6u);
  EXPECT_EQ(kind_of([&] { moved.truncate_to(7); }), ErrorKind::data);
  moved.truncate_to(2);
  moved.append("X");
  EXPECT_EQ(read_file(folder / "log", 10), "abX");
  EXPECT_EQ(AppendFile(folder / "log").size(), 3u);
  make_link("log", folder / "link");
  EXPECT_EQ(kind_of([&] { AppendFile linked(folder / "link"); }), ErrorKind::write);
}

TEST(File, FoldersSurviveEveryFailingCall) {
  const TemporaryFolder folder;
  const auto only_write = [](FailingFiles&, std::optional<ErrorKind> kind, int) {
    if (kind.has_value()) {
      EXPECT_EQ(*kind, ErrorKind::write);
    }
  };
  for_each_failure([&](FileSystem& files) { make_directory(folder / "a/b/c", files); },
                   [&] { remove_directory(folder / "a"); }, only_write);
  EXPECT_TRUE(is_directory(folder / "a/b/c"));
  for_each_failure([&](FileSystem& files) { rename_directory(folder / "x", folder / "y", files); },
                   [&] {
                     remove_directory(folder / "x");
                     remove_directory(folder / "y");
                     make_directory(folder / "x");
                     folder.write("x/inside", "kept");
                   },
                   [&](FailingFiles&, std::optional<ErrorKind>, int) {
                     EXPECT_NE(exists(folder / "x/inside"), exists(folder / "y/inside"));
                   });
  make_directory(folder / "x");
  EXPECT_EQ(kind_of([&] { rename_directory(folder / "x", folder / "y"); }), ErrorKind::write);
  for_each_failure([&](FileSystem& files) { make_link("y", folder / "link", files); },
                   [&] { remove_file(folder / "link"); },
                   [&](FailingFiles& files, std::optional<ErrorKind>, int) {
                     EXPECT_EQ(exists(folder / "link"), files.renamed());
                     EXPECT_EQ(list(folder.path()).size(), files.renamed() ? 4u : 3u);
                   });
  make_link("..", folder / "y/up");
  remove_directory(folder / "y");  // must not follow the link
  EXPECT_TRUE(exists(folder / "a"));
  EXPECT_FALSE(exists(folder / "y"));
}

TEST(File, ListIsSorted) {
  const TemporaryFolder folder;
  for (const char* name : {"b", "a10", "a2", "B"}) folder.write(name, "");
  EXPECT_EQ(list(folder.path()), (std::vector<std::string>{"B", "a10", "a2", "b"}));
  EXPECT_EQ(kind_of([&] { list(folder / "a2"); }), ErrorKind::data);
}

}  // namespace
}  // namespace enas
