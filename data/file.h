// User and run files. The only caller of open, read, write, fsync, rename, unlink, mkdir and
// truncate for them: every such call goes through a FileSystem, so that a test can hand in one that
// fails at its k-th call. A written file is either the old one or the new one, whole: temporary,
// fsync, rename, fsync of the folder.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/check.h"

namespace enas {

// The POSIX calls, one to one: -1 and errno on failure. Derive from it to inject failures.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual int open(const char* path, int flags, mode_t mode);
  virtual ssize_t read(int fd, void* bytes, size_t count);
  virtual ssize_t write(int fd, const void* bytes, size_t count);
  virtual int fsync(int fd);
  virtual int close(int fd);
  virtual int truncate(int fd, off_t size);
  virtual off_t size(int fd);
  virtual int rename(const char* from, const char* to);
  virtual int unlink(const char* path);
  virtual int mkdir(const char* path, mode_t mode);
  virtual int rmdir(const char* path);
  virtual int symlink(const char* target, const char* path);
};

FileSystem& real_files();

// The whole file. Refuses a missing or unreadable file, a folder, and one longer than max_bytes,
// with `kind`.
std::string read_file(const std::string& path, uint64_t max_bytes, FileSystem& files = real_files(),
                      ErrorKind kind = ErrorKind::data);

// Writes the pieces one after another as the new content of path, atomically and durably. On
// failure (kind write) the old file stays, but for a failure of the last step, the folder's fsync,
// after which it is the new one. An existing file's mode bits are kept.
void write_file_atomic(const std::string& path, const std::vector<std::string_view>& pieces,
                       FileSystem& files = real_files());
void write_file_atomic(const std::string& path, std::string_view bytes,
                       FileSystem& files = real_files());

// A file that grows at its end: metrics.jsonl, log.txt. Every failure is of kind write.
class AppendFile {
 public:
  // Opens path, made empty if missing; a symbolic link is refused.
  explicit AppendFile(std::string path, FileSystem& files = real_files());
  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&& other) noexcept;
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  ~AppendFile();

  // Adds all of the bytes, or none: after a failure the file is cut back to where it was.
  void append(std::string_view bytes);
  // Makes what was appended durable.
  void sync();
  // Length in bytes.
  uint64_t size() const { return size_; }
  // Cuts the file to its first `bytes`; refuses (kind data) a file that is shorter.
  void truncate_to(uint64_t bytes);

 private:
  void release() noexcept;

  std::string path_;
  FileSystem* files_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// Makes the folder and its missing parents; an existing folder is fine. Kind write.
void make_directory(const std::string& path, FileSystem& files = real_files());
// Renames a folder durably; refuses (kind write) when `to` exists.
void rename_directory(const std::string& from, const std::string& to,
                      FileSystem& files = real_files());
// Removes a file; a missing one is fine. Kind write.
void remove_file(const std::string& path, FileSystem& files = real_files());
// Removes a folder with all in it, not following links; a missing one is fine. Kind write.
void remove_directory(const std::string& path, FileSystem& files = real_files());
// Puts a symbolic link at path, replacing an existing link or file atomically. Kind write.
void make_link(const std::string& target, const std::string& path,
               FileSystem& files = real_files());
// Removes what an interrupted write_file_atomic or make_link left in the folder; returns how many.
int remove_temporaries(const std::string& folder, FileSystem& files = real_files());

bool exists(const std::string& path);
bool is_directory(const std::string& path);
// Names in the folder, sorted bytewise, without . and .. (kind data where it cannot be read).
std::vector<std::string> list(const std::string& path);

}  // namespace enas
