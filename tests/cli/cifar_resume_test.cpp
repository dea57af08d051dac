// enas_cifar: the same bits from every number of threads, and from a run that was stopped or killed
// and resumed (docs/interface.md, resume).
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <thread>

#include "tests/cli/cifar_run.h"

namespace enas {
namespace {

namespace fs = std::filesystem;

class CifarBits : public testing::TestWithParam<const char*> {
 protected:
  uintmax_t metrics_bytes(const std::string& run) const {
    std::error_code none;
    const uintmax_t bytes = fs::file_size(run + "/metrics.jsonl", none);
    return none ? 0 : bytes;
  }
  void make_whole() {
    ASSERT_EQ(enas_cifar(folder_, with(call_, "--out", whole_)).code, 0);
    bytes_ = metrics_bytes(whole_);
  }
  // Starts or goes on until metrics.jsonl has that share of the whole run's bytes and a pause has
  // passed, then signals.
  Outcome until(double share, int microseconds, int signal) {
    const Arguments call = fs::exists(run_) ? Arguments{"resume", run_} : call_;
    Process process(folder_, call, {}, ENAS_CIFAR);
    const auto bytes = static_cast<uintmax_t>(share * static_cast<double>(bytes_));
    wait_until(process, [&] { return metrics_bytes(run_) > bytes; });
    std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
    process.send(signal);
    return process.wait();
  }
  void expect_whole(const std::string& what) {
    const Outcome outcome = enas_cifar(folder_, {"resume", run_});
    EXPECT_EQ(outcome.code, 0) << what << "\n" << outcome.all();
    EXPECT_EQ(metrics_without_time(run_), metrics_without_time(whole_)) << what;
    EXPECT_TRUE(results(run_) == results(whole_)) << what;
    EXPECT_TRUE(temporaries(folder_.path()).empty()) << what;
    fs::remove_all(run_);
  }

  const TemporaryFolder folder_;
  const std::string data_ = write_images(folder_, "images");
  const std::string run_ = folder_ / "run", whole_ = folder_ / "whole";
  Arguments call_ = small_images("run", GetParam(), data_, run_);
  uintmax_t bytes_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Both, CifarBits, testing::Values("macro", "micro"),
                         [](const auto& space) { return std::string(space.param); });

TEST_P(CifarBits, OnAnyNumberOfThreadsAndEachTime) {
  std::vector<std::pair<std::string, std::string>> first;
  for (const char* threads : {"1", "2", "3", "4", "8", "3"}) {
    fs::remove_all(run_);
    const Outcome outcome = enas_cifar(folder_, with(call_, "--threads", threads));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const auto files = results(run_);
    if (first.empty()) first = files;
    ASSERT_EQ(files.size(), first.size());
    for (size_t f = 0; f < files.size(); ++f)
      EXPECT_TRUE(files[f] == first[f]) << files[f].first << " differs with " << threads;
  }
}

TEST_P(CifarBits, AfterSignals) {
  make_whole();
  int stopped = 0;
  for (int i = 0; i < 5; ++i) {
    const Outcome outcome = until(0.18 * i, 0, i % 2 == 0 ? SIGTERM : SIGINT);
    if (outcome.code != 0) {
      ++stopped;
      EXPECT_EQ(outcome.code, i % 2 == 0 ? 143 : 130) << outcome.err;
      EXPECT_NE(outcome.out.find("continue with: enas_cifar resume " + run_), std::string::npos);
    }
    expect_whole("signal " + std::to_string(i));
  }
  EXPECT_GE(stopped, 3);
}

// A checkpoint after every other step: most of the time a save is under way.
TEST_P(CifarBits, AfterKillsAtRandomMoments) {
  call_ = call_ + Arguments{"--checkpoint-every", "2steps"};
  make_whole();
  std::mt19937 random(7);
  const auto uniform = [&] { return static_cast<double>(random()) / 4294967296.0; };
  const char* asked = std::getenv("ENAS_KILL_ROUNDS");
  const int rounds = asked != nullptr ? std::atoi(asked) : 4;
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
  EXPECT_GE(killed, rounds);
}

TEST_P(CifarBits, AConfigurationFedBack) {
  make_whole();
  const Outcome outcome =
      enas_cifar(folder_, {"run", "--config", whole_ + "/config.toml", "--out", run_});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(results(run_) == results(whole_));
}

}  // namespace
}  // namespace enas
