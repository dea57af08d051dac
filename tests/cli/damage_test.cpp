// Weights and checkpoints that are cut, flipped, foreign or hostile; data that changed; disks,
// memory and numbers that give out. Each has its exit code, and what was there before stays.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "tensor/asan.h"
#include "tests/cli/small_run.h"

namespace enas {
namespace {

namespace fs = std::filesystem;

void write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string header(uint64_t size, const std::string& json) {
  std::string bytes(8, '\0');
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(size >> (8 * i) & 255);
  return bytes + json;
}

class Damage : public testing::Test {
 protected:
  void expect(const Outcome& outcome, int code, const std::string& says) {
    EXPECT_EQ(outcome.signal, 0);
    EXPECT_EQ(outcome.code, code) << outcome.all();
    EXPECT_NE(outcome.err.find(says), std::string::npos) << says << "\nis not in\n" << outcome.err;
    EXPECT_TRUE(temporaries(folder_.path()).empty()) << temporaries(folder_.path())[0];
  }
  // Files that are no weights, and what each is told.
  std::vector<std::pair<std::string, std::string>> broken(const std::string& good) const {
    const std::string huge = R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],)"
                             R"("data_offsets":[0,16]}})";
    const std::string outside = R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,4096]}})";
    std::string swapped = good;
    swapped.replace(swapped.find("\"format\":\"enas/1\""), 17, "\"format\":\"enas/9\"");
    return {{"", "safetensors"},
            {good.substr(0, 5), "safetensors"},
            {good.substr(0, good.size() / 2), ""},
            {good.substr(0, good.size() - 1), ""},
            {good + "x", ""},
            {header(~uint64_t{0}, "{}"), ""},
            {header(huge.size(), huge) + std::string(16, 'a'), ""},
            {header(outside.size(), outside) + std::string(16, 'a'), ""},
            {header(8, "[[[[[[[["), ""},
            {header(2, "{}"), "format"},
            {swapped, "enas/9"}};
  }

  const TemporaryFolder folder_;
  const std::string data_ = write_text(folder_, "text.txt", 400);
  const std::string run_ = folder_ / "run";
};

TEST_F(Damage, OfModelWeightsIsExit4) {
  ASSERT_EQ(enas_ptb(folder_, small("train", data_, run_)).code, 0);
  const std::string file = folder_ / "model.safetensors";
  for (const auto& [bytes, says] : broken(text_of(run_ + "/model.safetensors"))) {
    write(file, bytes);
    const Outcome outcome =
        enas_ptb(folder_, {"eval", "--weights", file, "--data", data_, "--json"});
    expect(outcome, 4, says);
    EXPECT_NE(outcome.err.find(file), std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.out, "");
  }
}

TEST_F(Damage, OfSharedWeightsIsExit4) {
  ASSERT_EQ(enas_ptb(folder_, small("search", data_, run_)).code, 0);
  const std::string file = run_ + "/shared.safetensors", good = text_of(file);
  for (const auto& [bytes, says] : broken(good)) {
    write(file, bytes);
    expect(enas_ptb(folder_, {"derive", run_, "--samples", "2"}), 4, says);
    EXPECT_FALSE(fs::exists(run_ + "/arch/top.json"));
  }
  write(file, good);
  expect(enas_ptb(folder_, {"eval", "--weights", file, "--data", data_}), 4, "single architecture");
  EXPECT_EQ(enas_ptb(folder_, {"derive", run_, "--samples", "2"}).code, 0);
}

TEST_F(Damage, ForeignVocabularyIsExit4) {
  ASSERT_EQ(enas_ptb(folder_, small("train", data_, run_)).code, 0);
  const Outcome outcome =
      enas_ptb(folder_, {"eval", "--weights", run_, "--data", "builtin:tiny-text"});
  expect(outcome, 4, "another vocabulary (21 words, the data have 127)");
}

TEST_F(Damage, ChangedDataAndConfiguration) {
  const Arguments call = small("run", data_, run_) + Arguments{"--max-steps", "15"};
  ASSERT_EQ(enas_ptb(folder_, call).code, 0);
  const auto before = results(run_);
  expect(enas_ptb(folder_, with(call, "--hidden", "9")), 2, "--hidden 9 (there 8)");
  const std::string text = text_of(data_);
  write(data_, text + "one more line\n");
  expect(enas_ptb(folder_, {"derive", run_}), 3, "has changed since");
  write(data_, text);
  EXPECT_EQ(results(run_), before);
  const Outcome again = enas_ptb(folder_, call);
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_NE(again.out.find("is finished"), std::string::npos) << again.out;
  EXPECT_EQ(results(run_), before);
}

class DamagedCheckpoint : public Damage {
 protected:
  // A train run, stopped when both checkpoints stand.
  void SetUp() override {
    const Arguments call = small("train", data_, run_) + Arguments{"--checkpoint-every", "3steps"};
    ASSERT_EQ(enas_ptb(folder_, with(call, "--out", folder_ / "whole")).code, 0);
    Process process(folder_, with(call, "--epochs", "2"));
    wait_until(process, [&] { return fs::exists(run_ + "/ckpt/b.safetensors"); });
    process.send(SIGKILL);
    process.wait();
    if (fs::exists(run_ + "/model.safetensors")) GTEST_SKIP() << "it was too fast to be stopped";
  }
  void cut(const std::string& name) {
    const std::string file = run_ + "/ckpt/" + name, bytes = text_of(file);
    write(file, bytes.substr(0, bytes.size() - 7));
  }
  void flip(const std::string& name) {
    const std::string file = run_ + "/ckpt/" + name;
    std::string bytes = text_of(file);
    bytes[bytes.size() - 100] = static_cast<char>(bytes[bytes.size() - 100] ^ 1);
    write(file, bytes);
  }
};

TEST_F(DamagedCheckpoint, OneIsReplacedByTheOther) {
  int warnings = 0;
  for (const char* name : {"a.safetensors", "b.safetensors"}) {
    const std::string copy = folder_ / (std::string("copy-") + name[0]);
    fs::copy(run_, copy, fs::copy_options::recursive);
    flip(name);
    const Outcome outcome = enas_ptb(folder_, {"resume", run_});
    EXPECT_EQ(outcome.code, 0) << outcome.all();
    warnings += outcome.err.find("warning: ") != std::string::npos &&
                outcome.err.find(name) != std::string::npos;
    EXPECT_EQ(results(run_), results(folder_ / "whole"));
    fs::remove_all(run_);
    fs::rename(copy, run_);
  }
  EXPECT_EQ(warnings, 1);  // the newer one is missed, the older one is not needed
}

TEST_F(DamagedCheckpoint, BothAreExit4) {
  cut("a.safetensors");
  flip("b.safetensors");
  const std::string metrics = text_of(run_ + "/metrics.jsonl");
  expect(enas_ptb(folder_, {"resume", run_}), 4, "no checkpoint is valid");
  EXPECT_EQ(text_of(run_ + "/metrics.jsonl"), metrics);
}

TEST_F(Damage, DivergenceIsExit6AndKeepsTheCheckpoint) {
  const Outcome outcome =
      enas_ptb(folder_, small("search", data_, run_) +
                            Arguments{"--shared-lr", "1000", "--shared-clip", "0", "--shared-init",
                                      "1", "--slowness", "1000"});
  expect(outcome, 6, "weights and optimizer are in the checkpoint as before it");
  EXPECT_TRUE(fs::exists(run_ + "/ckpt/a.safetensors"));
  EXPECT_FALSE(fs::exists(run_ + "/shared.safetensors"));
  EXPECT_NE(text_of(run_ + "/run.json").find("\"failed\""), std::string::npos);
  EXPECT_NE(text_of(run_ + "/log.txt").find("error: shared: step"), std::string::npos);
  expect(enas_ptb(folder_, {"resume", run_}), 6, "shared: step");
  expect(enas_ptb(folder_, {"derive", run_}), 2, "the search has not finished");
}

TEST_F(Damage, FullDiskIsExit8) {
  // Too little for shared.safetensors; the small files fit.
  const Outcome outcome =
      enas_ptb(folder_, small("search", data_, run_) + Arguments{"--max-steps", "3"},
               Limits{.file_bytes = 4096});
  expect(outcome, 8, "safetensors");
  EXPECT_FALSE(fs::exists(run_ + "/shared.safetensors"));
  const Outcome resumed = enas_ptb(folder_, {"resume", run_, "--max-steps", "3"});
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_TRUE(fs::exists(run_ + "/shared.safetensors"));
}

TEST_F(Damage, NoPlaceForTheRunIsExit8) {
  expect(enas_ptb(folder_, small("search", data_, "/proc/nowhere/run")), 8, "/proc/nowhere");
  folder_.write("file", "");
  expect(enas_ptb(folder_, small("search", data_, folder_ / "file/run")), 8, "file");
}

TEST_F(Damage, OutOfMemoryIsExit5) {
#if defined(ENAS_ASAN) || defined(ENAS_TSAN)
  GTEST_SKIP() << "a sanitizer's shadow memory does not fit under an address space limit";
#endif
  const Outcome outcome = enas_ptb(
      folder_, with(with(small("search", data_, run_), "--hidden", "4096"), "--nodes", "8"),
      Limits{.memory_bytes = 700ul << 20});
  expect(outcome, 5, "memory");
  EXPECT_FALSE(fs::exists(run_ + "/shared.safetensors"));
}

TEST_F(Damage, ADeviceThatIsNotThereIsExit7) {
  expect(enas_ptb(folder_, small("train", data_, run_) + Arguments{"--device", "cuda"}), 7, "cuda");
  EXPECT_FALSE(fs::exists(run_));
}

}  // namespace
}  // namespace enas
