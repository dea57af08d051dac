// See file.h. EINTR is retried (but for close, which has closed all the same); write goes on after
// a short count.
#include "data/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace enas {
namespace {

constexpr int kRetries = 1000;                    // of one interrupted call
constexpr size_t kLongestCall = size_t{1} << 30;  // bytes a read or write; Linux stops at 2 GiB

// Repeats a call while a signal interrupts it.
template <class Call>
auto retry(Call call) {
  auto result = call();
  for (int i = 0; result < 0 && errno == EINTR && i < kRetries; ++i) result = call();
  return result;
}

[[noreturn]] void fail_write(const std::string& path, std::string_view what, int error) {
  fail(ErrorKind::write, path, "cannot ", what, ": ", std::strerror(error),
       error == ENOSPC || error == EDQUOT ? "; free some space and resume" : "");
}

// A descriptor that closes itself.
class Descriptor {
 public:
  Descriptor(FileSystem& files, int fd) : files_(files), fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    const int error = errno;  // what failed before stays readable
    if (fd_ >= 0) files_.close(fd_);
    errno = error;
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  // Closes; false with errno when the system reports a late write error.
  bool close() { return files_.close(std::exchange(fd_, -1)) == 0 || errno == EINTR; }

 private:
  FileSystem& files_;
  int fd_;
};

int open_retry(FileSystem& files, const std::string& path, int flags, mode_t mode = 0) {
  return retry([&] { return files.open(path.c_str(), flags | O_CLOEXEC, mode); });
}

// Writes everything; false with errno otherwise.
bool write_all(FileSystem& files, int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written =
        retry([&] { return files.write(fd, bytes.data(), std::min(bytes.size(), kLongestCall)); });
    if (written < 0) return false;
    if (written == 0) {
      errno = EIO;
      return false;
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Some file systems have no fsync of a folder (EINVAL): there is nothing better to do there.
bool sync_folder(FileSystem& files, const std::string& folder) {
  Descriptor fd(files, open_retry(files, folder, O_RDONLY | O_DIRECTORY));
  if (fd.get() < 0) return false;
  if (retry([&] { return files.fsync(fd.get()); }) != 0 && errno != EINVAL) return false;
  return fd.close();
}

constexpr std::string_view kTemporaryPrefix = ".enas-";
constexpr std::string_view kTemporarySuffix = ".tmp";
constexpr int kRandomDigits = 16;

// FOLDER/.enas-XXXXXXXXXXXXXXXX.tmp with 64 unpredictable bits.
std::string temporary_name(const std::string& path) {
  uint64_t bits = 0;
  if (getrandom(&bits, sizeof bits, 0) != static_cast<ssize_t>(sizeof bits))
    fail_write(path, "draw a temporary name", errno);
  char digits[kRandomDigits + 1];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(bits));
  std::string name = folder_of(path);
  name.append("/").append(kTemporaryPrefix).append(digits).append(kTemporarySuffix);
  return name;
}

bool is_temporary(std::string_view name) {
  return name.size() == kTemporaryPrefix.size() + kRandomDigits + kTemporarySuffix.size() &&
         name.substr(0, kTemporaryPrefix.size()) == kTemporaryPrefix &&
         name.substr(name.size() - kTemporarySuffix.size()) == kTemporarySuffix;
}

void unlink_quietly(FileSystem& files, const std::string& path) {
  retry([&] { return files.unlink(path.c_str()); });
}

// Writes, syncs and closes a new file; what failed, or "" with everything on the disk.
std::string_view fill_new_file(FileSystem& files, int fd,
                               const std::vector<std::string_view>& pieces) {
  Descriptor file(files, fd);
  for (const std::string_view piece : pieces)
    if (!write_all(files, file.get(), piece)) return "write";
  if (retry([&] { return files.fsync(file.get()); }) != 0) return "sync";
  return file.close() ? "" : "close";
}

}  // namespace

int FileSystem::open(const char* path, int flags, mode_t mode) { return ::open(path, flags, mode); }
ssize_t FileSystem::read(int fd, void* bytes, size_t count) { return ::read(fd, bytes, count); }
ssize_t FileSystem::write(int fd, const void* bytes, size_t count) {
  return ::write(fd, bytes, count);
}
int FileSystem::fsync(int fd) { return ::fsync(fd); }
int FileSystem::close(int fd) { return ::close(fd); }
int FileSystem::truncate(int fd, off_t size) { return ::ftruncate(fd, size); }
off_t FileSystem::size(int fd) { return ::lseek(fd, 0, SEEK_END); }
int FileSystem::rename(const char* from, const char* to) { return ::rename(from, to); }
int FileSystem::unlink(const char* path) { return ::unlink(path); }
int FileSystem::mkdir(const char* path, mode_t mode) { return ::mkdir(path, mode); }
int FileSystem::rmdir(const char* path) { return ::rmdir(path); }
int FileSystem::symlink(const char* target, const char* path) { return ::symlink(target, path); }

FileSystem& real_files() {
  static FileSystem files;
  return files;
}

std::string read_file(const std::string& path, uint64_t max_bytes, FileSystem& files,
                      ErrorKind kind) {
  Descriptor file(files, open_retry(files, path, O_RDONLY));
  if (file.get() < 0)
    fail(kind, path, "cannot open: ", std::strerror(errno), "; expected a readable file");
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail(kind, path, "cannot stat: ", std::strerror(errno));
  if (S_ISDIR(status.st_mode)) fail(kind, path, "is a folder; expected a file");
  const auto refuse_longer = [&](uint64_t bytes) {
    check(bytes <= max_bytes, kind, path, "has ", bytes, " bytes or more; expected at most ",
          max_bytes);
  };
  uint64_t room = uint64_t{1} << 16;  // a pipe has no size: grow as it comes
  if (S_ISREG(status.st_mode)) {
    refuse_longer(static_cast<uint64_t>(status.st_size));
    room = static_cast<uint64_t>(status.st_size) + 1;  // one more, so that the end is seen
  }
  std::string bytes;
  uint64_t used = 0;
  for (;;) {
    if (used == bytes.size()) bytes.resize(used == 0 ? room : 2 * used);
    const ssize_t got = retry([&] {
      return files.read(file.get(), bytes.data() + used,
                        std::min(bytes.size() - used, kLongestCall));
    });
    if (got < 0) fail(kind, path, "cannot read at byte ", used, ": ", std::strerror(errno));
    if (got == 0) break;
    used += static_cast<uint64_t>(got);
    refuse_longer(used);
  }
  bytes.resize(used);
  return bytes;
}

void write_file_atomic(const std::string& path, const std::vector<std::string_view>& pieces,
                       FileSystem& files) {
  struct stat old {};
  const bool replaces = ::lstat(path.c_str(), &old) == 0;
  check(!replaces || !S_ISDIR(old.st_mode), ErrorKind::write, path,
        "is a folder; expected a file or a free name");
  const std::string temporary = temporary_name(path);
  const int fd = open_retry(files, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
  if (fd < 0) fail_write(path, "make a temporary file beside it", errno);
  if (replaces && S_ISREG(old.st_mode)) ::fchmod(fd, old.st_mode & 0777);
  std::string_view what = fill_new_file(files, fd, pieces);
  if (what.empty() && retry([&] { return files.rename(temporary.c_str(), path.c_str()); }) != 0)
    what = "rename its temporary file";
  if (!what.empty()) {
    const int error = errno;
    unlink_quietly(files, temporary);
    fail_write(path, what, error);
  }
  if (!sync_folder(files, folder_of(path))) fail_write(path, "sync its folder", errno);
}

void write_file_atomic(const std::string& path, std::string_view bytes, FileSystem& files) {
  write_file_atomic(path, std::vector<std::string_view>{bytes}, files);
}

AppendFile::AppendFile(std::string path, FileSystem& files)
    : path_(std::move(path)), files_(&files) {
  Descriptor file(files,
                  open_retry(files, path_, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0644));
  if (file.get() < 0) fail_write(path_, "open it for appending", errno);
  const off_t size = retry([&] { return files.size(file.get()); });
  if (size < 0) fail_write(path_, "find its length", errno);
  size_ = static_cast<uint64_t>(size);
  fd_ = file.release();
}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : path_(std::move(other.path_)),
      files_(other.files_),
      fd_(std::exchange(other.fd_, -1)),
      size_(other.size_) {}

AppendFile& AppendFile::operator=(AppendFile&& other) noexcept {
  if (this != &other) {
    release();
    path_ = std::move(other.path_);
    files_ = other.files_;
    fd_ = std::exchange(other.fd_, -1);
    size_ = other.size_;
  }
  return *this;
}

AppendFile::~AppendFile() { release(); }

void AppendFile::release() noexcept {
  if (fd_ >= 0) files_->close(std::exchange(fd_, -1));
}

void AppendFile::append(std::string_view bytes) {
  if (!write_all(*files_, fd_, bytes)) {
    const int error = errno;
    retry([&] { return files_->truncate(fd_, static_cast<off_t>(size_)); });
    fail_write(path_, "append", error);
  }
  size_ += bytes.size();
}

void AppendFile::sync() {
  if (retry([&] { return files_->fsync(fd_); }) != 0) fail_write(path_, "sync", errno);
}

void AppendFile::truncate_to(uint64_t bytes) {
  check(bytes <= size_, ErrorKind::data, path_, "has ", size_, " bytes; expected at least ", bytes,
        " (was it edited or cut since?)");
  if (retry([&] { return files_->truncate(fd_, static_cast<off_t>(bytes)); }) != 0)
    fail_write(path_, "truncate", errno);
  size_ = bytes;
}

void make_directory(const std::string& path, FileSystem& files) {
  if (is_directory(path)) return;
  const std::string parent = folder_of(path);
  if (parent != path) make_directory(parent, files);
  if (retry([&] { return files.mkdir(path.c_str(), 0755); }) != 0 &&
      !(errno == EEXIST && is_directory(path)))
    fail_write(path, "make the folder", errno);
  if (!sync_folder(files, parent)) fail_write(path, "sync the parent folder", errno);
}

void rename_directory(const std::string& from, const std::string& to, FileSystem& files) {
  struct stat status {};
  check(::lstat(to.c_str(), &status) != 0, ErrorKind::write, to,
        "exists already; expected a free name for ", from);
  if (retry([&] { return files.rename(from.c_str(), to.c_str()); }) != 0)
    fail_write(from, "rename to " + to, errno);
  if (!sync_folder(files, folder_of(to))) fail_write(to, "sync the parent folder", errno);
}

void remove_file(const std::string& path, FileSystem& files) {
  if (retry([&] { return files.unlink(path.c_str()); }) != 0 && errno != ENOENT)
    fail_write(path, "remove", errno);
}

void remove_directory(const std::string& path, FileSystem& files) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 && errno == ENOENT) return;
  check(S_ISDIR(status.st_mode), ErrorKind::write, path, "is not a folder: not removed");
  for (const std::string& name : list(path)) {
    const std::string inner = path + "/" + name;
    const bool folder = ::lstat(inner.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
    if (folder)
      remove_directory(inner, files);
    else
      remove_file(inner, files);
  }
  if (retry([&] { return files.rmdir(path.c_str()); }) != 0) fail_write(path, "remove", errno);
}

void make_link(const std::string& target, const std::string& path, FileSystem& files) {
  const std::string temporary = temporary_name(path);
  if (retry([&] { return files.symlink(target.c_str(), temporary.c_str()); }) != 0)
    fail_write(path, "make a link", errno);
  if (retry([&] { return files.rename(temporary.c_str(), path.c_str()); }) != 0) {
    const int error = errno;
    unlink_quietly(files, temporary);
    fail_write(path, "put the link in place", error);
  }
  if (!sync_folder(files, folder_of(path))) fail_write(path, "sync its folder", errno);
}

int remove_temporaries(const std::string& folder, FileSystem& files) {
  int removed = 0;
  for (const std::string& name : list(folder)) {
    if (!is_temporary(name)) continue;
    remove_file(folder + "/" + name, files);
    ++removed;
  }
  return removed;
}

bool exists(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0;
}

bool is_directory(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::vector<std::string> list(const std::string& path) {
  DIR* folder = ::opendir(path.c_str());
  if (folder == nullptr)
    fail(ErrorKind::data, path, "cannot list: ", std::strerror(errno), "; expected a folder");
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(folder);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace enas
