// The same bits from every number of threads and every repeat: weights after 200 steps and the
// metric lines (docs/numerics.md).
#include <gtest/gtest.h>

#include "tests/cli/small_run.h"

namespace enas {
namespace {

// 156 windows an epoch: 200 steps pass a controller phase.
const Arguments kSizes = {
    "--data", "builtin:tiny-text", "--hidden", "32",          "--batch", "64",          "--bptt",
    "20",     "--epochs",          "2",        "--log-every", "20",      "--max-steps", "200"};

// last_line: of the metrics, the last multiple of --log-every in an epoch.
void expect_same_bits(const Arguments& call, const std::string& weights,
                      const std::string& last_line) {
  const TemporaryFolder folder;
  std::vector<int> threads = {1, 2, 3, 4, 8, 16};
  threads.insert(threads.end(), 9, 3);  // 3: ten times
  std::vector<std::pair<std::string, std::string>> first;
  for (size_t i = 0; i < threads.size(); ++i) {
    const std::string out = folder / std::to_string(i);
    const Outcome outcome =
        enas_ptb(folder, call + Arguments{"--out", out, "--threads", std::to_string(threads[i])});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const auto files = results(out);
    if (i == 0) {
      first = files;
      ASSERT_GT(text_of(out + "/" + weights).size(), 1000u);
      ASSERT_NE(metrics_without_time(out).find(last_line), std::string::npos);
      continue;
    }
    ASSERT_EQ(files.size(), first.size());
    for (size_t f = 0; f < files.size(); ++f) {
      EXPECT_EQ(files[f].first, first[f].first);
      EXPECT_TRUE(files[f].second == first[f].second)
          << files[f].first << " differs with " << threads[i] << " threads, run " << i;
    }
  }
}

TEST(Determinism, SearchOnAnyNumberOfThreads) {
  expect_same_bits(Arguments{"search", "--nodes", "3", "--reward-batch", "32", "--controller-steps",
                             "5", "--shared-clip", "0.25"} +
                       kSizes,
                   "shared.safetensors", "\"step\":196");
}

TEST(Determinism, TrainOnAnyNumberOfThreads) {
  expect_same_bits(Arguments{"train", "--arch", "0 2 1 0 1 3"} + kSizes, "model.safetensors",
                   "\"step\":196");
}

TEST(Determinism, OtherSeedsAreOtherResults) {
  const TemporaryFolder folder;
  const std::string data = write_text(folder, "text.txt", 300);
  const Arguments call = small("train", data, folder / "1") + Arguments{"--max-steps", "5"};
  ASSERT_EQ(enas_ptb(folder, call).code, 0);
  ASSERT_EQ(enas_ptb(folder, with(call, "--out", folder / "2") + Arguments{"--seed", "2"}).code, 0);
  EXPECT_NE(text_of(folder / "1/model.safetensors"), text_of(folder / "2/model.safetensors"));
}

// config.toml of a run, fed back, gives the same run.
TEST(Determinism, AConfigurationFedBack) {
  const TemporaryFolder folder;
  const std::string data = write_text(folder, "text.txt", 300);
  for (const char* command : {"run", "train"}) {
    const std::string out = folder / command, again = out + "-again";
    ASSERT_EQ(enas_ptb(folder, small(command, data, out)).code, 0);
    const Outcome outcome =
        enas_ptb(folder, {command, "--config", out + "/config.toml", "--out", again});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(results(out), results(again));
  }
}

}  // namespace
}  // namespace enas
