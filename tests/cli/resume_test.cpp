// A run that was stopped or killed anywhere and resumed leaves the same files and metric lines as
// one that was not (docs/interface.md, resume).
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <thread>

#include "tests/cli/small_run.h"

namespace enas {
namespace {

namespace fs = std::filesystem;

class Resume : public testing::Test {
 protected:
  uintmax_t metrics_bytes(const std::string& run) const {
    std::error_code none;
    const uintmax_t bytes = fs::file_size(run + "/metrics.jsonl", none);
    return none ? 0 : bytes;
  }
  void make_whole() {
    ASSERT_EQ(enas_ptb(folder_, with(call_, "--out", whole_)).code, 0);
    bytes_ = metrics_bytes(whole_);
  }
  // Starts or goes on until metrics.jsonl has that share of the whole run's bytes and a pause has
  // passed, then signals.
  Outcome until(double share, int microseconds, int signal) {
    const bool begun = fs::exists(run_);
    Process process(folder_, begun ? Arguments{"resume", run_} : call_);
    const auto bytes = static_cast<uintmax_t>(share * static_cast<double>(bytes_));
    wait_until(process, [&] { return metrics_bytes(run_) > bytes; });
    std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
    process.send(signal);
    return process.wait();
  }
  void kill_in_rounds(const std::string& every, int rounds, unsigned seed) {
    call_ = call_ + Arguments{"--checkpoint-every", every};
    make_whole();
    std::mt19937 random(seed);
    const auto uniform = [&] { return static_cast<double>(random()) / 4294967296.0; };
    int killed = 0;
    for (int round = 0; round < rounds; ++round) {
      const double first = uniform(), second = first + (1 - first) * uniform();
      for (const double share : {first, second}) {
        const Outcome outcome = until(share, static_cast<int>(3000 * uniform()), SIGKILL);
        killed += outcome.signal == SIGKILL;
        EXPECT_TRUE(outcome.signal == SIGKILL || outcome.code == 0) << outcome.all();
      }
      expect_whole("round " + std::to_string(round));
    }
    EXPECT_GE(killed, rounds * 6 / 5);
  }
  void expect_whole(const std::string& what) {
    const Outcome outcome = enas_ptb(folder_, {"resume", run_});
    EXPECT_EQ(outcome.code, 0) << what << "\n" << outcome.all();
    EXPECT_EQ(metrics_without_time(run_), metrics_without_time(whole_)) << what;
    EXPECT_EQ(results(run_), results(whole_)) << what;
    EXPECT_TRUE(temporaries(folder_.path()).empty())
        << what << ": " << temporaries(folder_.path())[0];
    fs::remove_all(run_);
  }

  const TemporaryFolder folder_;
  const std::string data_ = write_text(folder_, "text.txt", 2000);
  const std::string run_ = folder_ / "run", whole_ = folder_ / "whole";
  Arguments call_ =
      small("run", data_, run_) + Arguments{"--variable-bptt", "--train-average-from", "250"};
  uintmax_t bytes_ = 0;
};

TEST_F(Resume, AfterSignals) {
  make_whole();
  int stopped = 0;
  for (int i = 0; i < 8; ++i) {
    const int signal = i % 2 == 0 ? SIGTERM : SIGINT;
    const Outcome outcome = until(0.12 * i, 0, signal);
    const bool was_stopped = outcome.code != 0;
    if (was_stopped) {
      ++stopped;
      EXPECT_EQ(outcome.code, 128 + signal) << outcome.err;
      EXPECT_NE(outcome.out.find("continue with: enas_ptb resume " + run_), std::string::npos);
      EXPECT_NE(text_of(run_ + "/run.json").find("\"stopped\""), std::string::npos);
    }
    expect_whole("signal " + std::to_string(i));
  }
  EXPECT_GE(stopped, 6);
}

// Rounds of two kills each: `few`, or ENAS_KILL_ROUNDS for the long checks.
int kill_rounds(int few) {
  const char* rounds = std::getenv("ENAS_KILL_ROUNDS");
  return rounds != nullptr ? std::atoi(rounds) : few;
}

TEST_F(Resume, AfterKillsAtRandomMoments) { kill_in_rounds("20steps", kill_rounds(10), 20); }

// A checkpoint after every step: most of the time a save is under way.
TEST_F(Resume, AfterKillsDuringSaves) { kill_in_rounds("1steps", kill_rounds(3), 21); }

TEST_F(Resume, OfARunKilledBeforeItsFirstCheckpoint) {
  make_whole();
  EXPECT_EQ(until(0.05, 0, SIGKILL).signal, SIGKILL);
  EXPECT_FALSE(fs::exists(run_ + "/ckpt/a.safetensors"));
  EXPECT_TRUE(fs::exists(run_ + "/LOCK"));  // of a dead process: taken over
  expect_whole("no checkpoint");
}

TEST_F(Resume, ByRunItself) {
  make_whole();
  EXPECT_EQ(until(0.5, 0, SIGTERM).code, 143);
  const Outcome outcome = enas_ptb(folder_, call_);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("going on in stage"), std::string::npos) << outcome.out;
  EXPECT_EQ(results(run_), results(whole_));
  EXPECT_NE(enas_ptb(folder_, {"resume", run_}).out.find("is finished"), std::string::npos);
}

TEST_F(Resume, OfADeriveThatWasAskedForLater) {
  make_whole();
  const std::string before = metrics_without_time(whole_);
  fs::copy(whole_, run_, fs::copy_options::recursive);
  const Arguments derive = {"derive", whole_, "--samples", "60"};
  ASSERT_EQ(enas_ptb(folder_, derive).code, 0);
  EXPECT_EQ(metrics_without_time(whole_).substr(0, before.size()), before);  // eval's lines too
  Process process(folder_, {"derive", run_, "--samples", "60"});
  wait_until(process, [&] { return metrics_bytes(run_) > bytes_ + 500; });
  process.send(SIGTERM);
  EXPECT_EQ(process.wait().code, 143);
  expect_whole("derive");
}

TEST_F(Resume, DeriveDoesNotTakeTheCheckpointOfAnUnfinishedRun) {
  make_whole();
  EXPECT_EQ(until(0.7, 0, SIGTERM).code, 143);
  const Outcome outcome = enas_ptb(folder_, {"derive", run_});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("finish it first"), std::string::npos) << outcome.err;
  expect_whole("refused derive");
}

TEST_F(Resume, WithMovedData) {
  make_whole();
  EXPECT_EQ(until(0.3, 0, SIGTERM).code, 143);
  const std::string moved = folder_ / "moved.txt";
  fs::rename(data_, moved);
  EXPECT_EQ(enas_ptb(folder_, {"resume", run_}).code, 3);
  EXPECT_EQ(enas_ptb(folder_, {"resume", run_, "--data", moved}).code, 0);
  EXPECT_EQ(results(run_), results(whole_));
}

}  // namespace
}  // namespace enas
