// A disk that fills up for real: the run lies on a small tmpfs of this test's own. Whatever its
// size, the run finishes or ends with exit 8, and once there is room it goes on to the same bits.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "tests/cli/small_run.h"

namespace enas {
namespace {

namespace fs = std::filesystem;

void write(const char* file, const std::string& text) { std::ofstream(file) << text; }

// This process gets mounts of its own, as root or as root of a user namespace. What is in the way,
// or "".
std::string own_mounts() {
  const uid_t user = geteuid();
  const gid_t group = getegid();
  if (unshare(CLONE_NEWNS) != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
      return std::string("unshare: ") + std::strerror(errno);
    write("/proc/self/setgroups", "deny");
    write("/proc/self/uid_map", "0 " + std::to_string(user) + " 1");
    write("/proc/self/gid_map", "0 " + std::to_string(group) + " 1");
  }
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return std::string("mount: ") + std::strerror(errno);
  return "";
}

class Disk {
 public:
  explicit Disk(std::string path) : path_(std::move(path)) { fs::create_directories(path_); }
  ~Disk() { umount2(path_.c_str(), MNT_DETACH); }
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;
  // Mounts it, or changes its size.
  bool set_kib(int kib, bool again = false) const {
    const std::string size = "size=" + std::to_string(kib) + "k";
    return mount("tmpfs", path_.c_str(), "tmpfs", again ? MS_REMOUNT : 0, size.c_str()) == 0;
  }

 private:
  std::string path_;
};

TEST(FullDisk, TheRunFinishesOrIsExit8AndGoesOnOnceThereIsRoom) {
  if (const std::string why = own_mounts(); !why.empty())
    GTEST_SKIP() << "no mounts of one's own here: " << why;
  const TemporaryFolder folder;
  const std::string data = write_text(folder, "text.txt", 400);
  const auto call = [&](const std::string& out) {
    return small("run", data, out) + Arguments{"--checkpoint-every", "2steps"};
  };
  const std::string whole = folder / "whole";
  ASSERT_EQ(enas_ptb(folder, call(whole)).code, 0);
  int full = 0, with_checkpoint = 0;
  for (const int kib : {12, 32, 48, 64, 80, 112, 160, 4096}) {
    SCOPED_TRACE(std::to_string(kib) + " KiB");
    const Disk disk(folder / "disk");
    if (!disk.set_kib(kib)) GTEST_SKIP() << "no tmpfs here: " << std::strerror(errno);
    const std::string run = folder / "disk/run";
    const Outcome outcome = enas_ptb(folder, call(run));
    ASSERT_TRUE(outcome.code == 0 || outcome.code == 8) << outcome.code << outcome.all();
    full += outcome.code == 8;
    with_checkpoint += outcome.code == 8 && fs::exists(run + "/ckpt/a.safetensors");
    EXPECT_TRUE(outcome.code == 0 || !outcome.err.empty());
    ASSERT_TRUE(disk.set_kib(4096, true)) << std::strerror(errno);
    EXPECT_TRUE(temporaries(folder / "disk").empty()) << temporaries(folder / "disk")[0];
    const Outcome after =
        fs::exists(run) ? enas_ptb(folder, {"resume", run}) : enas_ptb(folder, call(run));
    EXPECT_EQ(after.code, 0) << after.all();
    EXPECT_TRUE(results(run) == results(whole));
  }
  EXPECT_GE(full, 4);
  EXPECT_LT(full, 8);
  EXPECT_GE(with_checkpoint, 1);
}

}  // namespace
}  // namespace enas
