// metrics.jsonl: key order, numbers, nothing buffered, cut back on resume.
#include "apps/run/metrics.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/temporary_folder.h"

namespace enas {
namespace {

TEST(Metrics, KeepsKeyOrderAndShortestNumbers) {
  const TemporaryFolder folder;
  Metrics metrics(folder / "metrics.jsonl");
  metrics.write(Metrics::Line()
                    .add("phase", "shared")
                    .add("epoch", 1)
                    .add("step", std::int64_t{1} << 60)
                    .add("loss", 0.1)
                    .add("lr", 0.1F)
                    .add("ppl", std::numeric_limits<double>::infinity())
                    .add("reward", std::nan(""))
                    .add("best", true)
                    .add("arch", "0 1 \"x\"\n"));
  EXPECT_EQ(
      text_of(folder / "metrics.jsonl"),
      "{\"phase\":\"shared\",\"epoch\":1,\"step\":1152921504606846976,\"loss\":0.1,"
      "\"lr\":0.1,\"ppl\":null,\"reward\":null,\"best\":true,\"arch\":\"0 1 \\\"x\\\"\\n\"}\n");
}

TEST(Metrics, NumbersReadBackToTheSameBits) {
  std::uint64_t state = 1;
  for (int i = 0; i < 2000; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    double value = 0;
    std::memcpy(&value, &state, sizeof value);
    if (!std::isfinite(value)) continue;
    const auto json = nlohmann::json::parse(Metrics::Line().add("x", value).text());
    EXPECT_EQ(json["x"].get<double>(), value);
  }
}

TEST(Metrics, StringsAreAlwaysValidJson) {
  constexpr char kBytes[] = "a\x00\x1f\"\\\xc3\xa9\xff\xed\xa0\x80\xf4\x90\x80\x80\xc0\xaf\xe2\x82";
  constexpr std::size_t kValid = 7;
  const std::string text(kBytes, sizeof kBytes - 1);
  std::string expected = text.substr(0, kValid);
  for (std::size_t i = kValid; i < text.size(); ++i) expected += "\xEF\xBF\xBD";
  const auto json = nlohmann::json::parse(Metrics::Line().add("x", text).text());
  EXPECT_EQ(json["x"].get<std::string>(), expected);
}

TEST(Metrics, TruncatesToTheCheckpointedOffset) {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  std::uint64_t offset = 0;
  {
    Metrics metrics(path);
    metrics.write(Metrics::Line().add("step", 1));
    offset = metrics.offset();
    metrics.write(Metrics::Line().add("step", 2));
  }
  Metrics metrics(path);
  EXPECT_GT(metrics.offset(), offset);
  metrics.truncate_to(offset);
  metrics.write(Metrics::Line().add("step", 3));
  EXPECT_EQ(text_of(path), "{\"step\":1}\n{\"step\":3}\n");
  EXPECT_THROW(metrics.truncate_to(1000), Error);
}

TEST(Metrics, KilledProcessLosesNoLine) {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  const pid_t child = fork();
  if (child == 0) {
    Metrics metrics(path);
    for (int i = 0; i < 100; ++i) metrics.write(Metrics::Line().add("step", i));
    kill(getpid(), SIGKILL);
  }
  waitpid(child, nullptr, 0);
  const std::string text = text_of(path);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 100);
  EXPECT_NE(text.find("{\"step\":99}\n"), std::string::npos);
}

}  // namespace
}  // namespace enas
