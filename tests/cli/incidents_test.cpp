// --on-nan in the built program: a plain cell with a searched first activation and large initial
// weights overflows within a few steps of relu and identity. What stop and skip leave, and when
// skipping ends.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "nn/safetensors.h"
#include "tests/cli/small_run.h"

namespace enas {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int kDiverged = 6;

class Incidents : public testing::Test {
 protected:
  Arguments call(const std::string& run, const std::string& range, const std::string& policy) {
    Arguments arguments = small("search", data_, run);
    arguments = with(with(with(arguments, "--nodes", "3"), "--hidden", "64"), "--epochs", "3");
    arguments = with(with(arguments, "--bptt", "30"), "--log-every", "5");
    return arguments + Arguments{"--parity", "node0-searched", "--cell", "plain", "--shared-init",
                                 range,      "--on-nan",       policy};
  }
  std::vector<Json> incidents(const std::string& run) {
    std::vector<Json> list;
    for (int n = 1; fs::exists(run + "/incidents/" + std::to_string(n) + ".json"); ++n)
      list.push_back(Json::parse(text_of(run + "/incidents/" + std::to_string(n) + ".json")));
    return list;
  }
  // The newest checkpoint's tensors.
  static std::map<std::string, std::string> state(const std::string& run) {
    std::map<std::string, std::string> newest;
    long sequence = 0;
    for (const char* name : {"a", "b"}) {
      const std::string path = run + "/ckpt/" + name + ".safetensors";
      if (!fs::exists(path)) continue;
      const TensorFile file = read_safetensors(path);
      const long own = std::stol(file.metadata.at("sequence"));
      if (own <= sequence) continue;
      sequence = own;
      newest.clear();
      for (const auto& [tensor, value] : file.tensors)
        newest[tensor] = std::string(static_cast<const char*>(value.raw()), value.bytes());
      const auto baseline = file.metadata.find("value.baseline");
      newest["baseline"] = baseline == file.metadata.end() ? "unset" : baseline->second;
    }
    return newest;
  }
  static bool zero(const std::string& bytes) {
    return bytes.find_first_not_of('\0') == std::string::npos;
  }

  const TemporaryFolder folder_;
  const std::string data_ = write_text(folder_, "text.txt", 600);
  const std::string run_ = folder_ / "run";
};

// The bad step leaves what the step before it left, but for the carried state, which is zero.
TEST_F(Incidents, StopKeepsTheStateBefore) {
  const Outcome outcome = enas_ptb(folder_, call(run_, "0.5", "stop"));
  ASSERT_EQ(outcome.code, kDiverged) << outcome.all();
  EXPECT_NE(outcome.err.find("the step in " + run_ + "/incidents"), std::string::npos)
      << outcome.err;
  EXPECT_NE(text_of(run_ + "/run.json").find("\"failed\""), std::string::npos);
  const std::vector<Json> list = incidents(run_);
  ASSERT_EQ(list.size(), 1u);
  const Json& incident = list[0];
  EXPECT_EQ(incident.at("incident"), 1);
  EXPECT_EQ(incident.at("phase"), "shared");
  EXPECT_EQ(incident.at("seed"), 1);
  EXPECT_EQ(incident.at("what").get<std::string>().rfind("loss ", 0), 0u);
  EXPECT_EQ(incident.at("arch").get<std::string>().rfind("enas1: ", 0), 0u);
  const auto step = incident.at("step").get<int>();
  ASSERT_GT(step, 1);
  const std::string before = folder_ / "before", past = folder_ / "past";
  const auto until = [&](const std::string& run, int steps, const char* policy) {
    const Outcome ended = enas_ptb(
        folder_, call(run, "0.5", policy) + Arguments{"--max-steps", std::to_string(steps)});
    EXPECT_EQ(ended.code, 0) << ended.all();
    return state(run);
  };
  auto want = until(before, step - 1, "stop"), stopped = state(run_),
       skipped = until(past, step, "skip");
  EXPECT_FALSE(zero(want.at("carried_state")));
  EXPECT_TRUE(zero(stopped.at("carried_state")));
  EXPECT_TRUE(zero(skipped.at("carried_state")));
  want.erase("carried_state");
  stopped.erase("carried_state");
  skipped.erase("carried_state");
  EXPECT_GT(want.size(), 20u);
  EXPECT_TRUE(stopped == want);
  EXPECT_TRUE(skipped == want);
  // The checkpoint is whole: going on meets the same step again.
  const Outcome again = enas_ptb(folder_, {"resume", run_});
  EXPECT_EQ(again.code, kDiverged) << again.all();
  EXPECT_NE(again.err.find("step " + std::to_string(step) + ":"), std::string::npos) << again.err;
}

TEST_F(Incidents, SkipGoesOnAndCounts) {
  const Arguments skip = call(run_, "0.5", "skip") + Arguments{"--max-steps", "20"};
  const Outcome outcome = enas_ptb(folder_, skip);
  ASSERT_EQ(outcome.code, 0) << outcome.all();
  const std::vector<Json> list = incidents(run_);
  ASSERT_GE(list.size(), 1u);
  ASSERT_LE(list.size(), 10u);
  EXPECT_NE(outcome.out.find("search: " + std::to_string(list.size()) + " step"),
            std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.err.find("; skipped, see "), std::string::npos) << outcome.err;
  for (const auto& [name, value] : read_safetensors(run_ + "/shared.safetensors").tensors)
    for (const double x : value.to_vector()) ASSERT_TRUE(std::isfinite(x)) << name;
}

TEST_F(Incidents, MoreThanOnePercentAndMoreThanTenEndTheRun) {
  const Outcome outcome = enas_ptb(folder_, call(run_, "1", "skip"));
  EXPECT_EQ(outcome.code, kDiverged) << outcome.all();
  EXPECT_NE(outcome.err.find("too many skipped steps"), std::string::npos) << outcome.err;
  const std::vector<Json> list = incidents(run_);
  ASSERT_EQ(list.size(), 11u);
  const int step = list.back().at("step").get<int>();
  const std::string before = folder_ / "before";
  const Outcome ended = enas_ptb(
      folder_, call(before, "1", "skip") + Arguments{"--max-steps", std::to_string(step - 1)});
  ASSERT_EQ(ended.code, 0) << ended.all();
  auto want = state(before), kept = state(run_);
  want.erase("carried_state");
  kept.erase("carried_state");
  EXPECT_TRUE(kept == want);
  for (const auto& [name, bytes] : state(run_)) {
    if (name.rfind("weights.", 0) != 0) continue;
    for (size_t at = 0; at < bytes.size(); at += sizeof(float)) {
      float x = 0;
      std::memcpy(&x, bytes.data() + at, sizeof(x));
      ASSERT_TRUE(std::isfinite(x)) << name;
    }
  }
}

// Every policy update meets a bad reward: the policy stays as it was made, without a baseline.
TEST_F(Incidents, BadRewardsNeverReachThePolicy) {
  Arguments search =
      with(with(call(run_, "1", "skip"), "--epochs", "1"), "--controller-steps", "3");
  search = search + Arguments{"--controller-samples", "40", "--controller-lr", "0.1"};
  const Outcome outcome = enas_ptb(folder_, search);
  ASSERT_EQ(outcome.code, 0) << outcome.all();
  int64_t of_policy = 0;
  for (const Json& incident : incidents(run_)) {
    if (incident.at("phase") != "controller") continue;
    ++of_policy;
    EXPECT_EQ(incident.at("step"), of_policy);
    EXPECT_EQ(incident.at("arch"), "");
    EXPECT_NE(incident.at("what").get<std::string>().find("a reward is "), std::string::npos);
  }
  ASSERT_EQ(of_policy, 3);
  const std::string first = folder_ / "first";
  const Arguments one = with(search, "--out", first) + Arguments{"--max-steps", "1"};
  ASSERT_EQ(enas_ptb(folder_, one).code, 0);
  const auto made = state(first), after = state(run_);
  EXPECT_EQ(after.at("baseline"), "unset");
  int compared = 0;
  for (const auto& [name, bytes] : made) {
    if (name.rfind("weights.controller.", 0) != 0) continue;
    ++compared;
    EXPECT_TRUE(after.at(name) == bytes) << name;
  }
  EXPECT_EQ(compared, 6);
}

TEST_F(Incidents, BadScoresOfARandomSearchAreLeftOut) {
  Arguments search =
      with(with(call(run_, "1", "skip"), "--epochs", "1"), "--controller-steps", "3");
  search = search + Arguments{"--controller-samples", "4", "--strategy", "random"};
  search = with(with(search, "--log-every", "1"), "--shared-lr", "0");
  const Outcome outcome = enas_ptb(folder_, search);
  ASSERT_EQ(outcome.code, 0) << outcome.all();
  int64_t bad = 0;
  for (const Json& incident : incidents(run_)) bad += incident.at("phase") == "scoring";
  EXPECT_GE(bad, 1);
  const TensorFile file = read_safetensors(run_ + "/shared.safetensors");
  double kept = 0;
  for (const double n : file.tensors.at("scored.counts").to_vector()) kept += n;
  EXPECT_EQ(kept, static_cast<double>(3 * 4 - bad));
  for (const double reward : file.tensors.at("scored.rewards").to_vector())
    EXPECT_TRUE(std::isfinite(reward));
  EXPECT_EQ(enas_ptb(folder_, {"derive", run_, "--samples", "4"}).code, 0);
}

// A training that diverges inside a run leaves what the search and derive had made.
TEST_F(Incidents, EarlierResultsStayWhole) {
  const Arguments good = small("run", data_, run_) + Arguments{"--cell", "plain"};
  const Arguments bad = good + Arguments{"--train-lr",   "1000", "--train-clip",         "0",
                                         "--train-init", "1",    "--train-weight-decay", "1"};
  const Outcome outcome = enas_ptb(folder_, bad);
  ASSERT_EQ(outcome.code, kDiverged) << outcome.all();
  EXPECT_EQ(incidents(run_).at(0).at("phase"), "train");
  const std::string whole = folder_ / "whole";
  ASSERT_EQ(enas_ptb(folder_, with(good, "--out", whole)).code, 0);
  EXPECT_EQ(text_of(run_ + "/arch/top.json"), text_of(whole + "/arch/top.json"));
  const TensorFile own = read_safetensors(run_ + "/shared.safetensors"),
                   other = read_safetensors(whole + "/shared.safetensors");
  for (const auto& [name, value] : other.tensors)
    EXPECT_EQ(value.to_vector(), own.tensors.at(name).to_vector()) << name;
  EXPECT_FALSE(fs::exists(run_ + "/model.safetensors"));
}

}  // namespace
}  // namespace enas
